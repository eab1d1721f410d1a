"""Public detection: was this made here? A coarse answer for anybody, with a signed receipt. Names nobody, ever."""
