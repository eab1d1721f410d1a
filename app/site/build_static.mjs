// Copies the browser libraries that the lock file pins into static/vendor/, with their licences.
// Run by `npm ci && npm run build`; the pages notice the folder by themselves and work without it.
import { copyFile, mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const root = new URL("../../", import.meta.url);
const vendor = new URL("static/vendor/", import.meta.url);
const files = [
  ["node_modules/htmx.org/dist/htmx.min.js", "htmx.min.js"],
  ["node_modules/htmx.org/LICENSE", "htmx.LICENSE.txt"],
];

await mkdir(vendor, { recursive: true });
for (const [from, to] of files) {
  await copyFile(new URL(from, root), new URL(to, vendor));
  console.log(`${from} -> ${fileURLToPath(new URL(to, vendor)).replace(fileURLToPath(root), "")}`);
}
