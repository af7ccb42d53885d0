// Parses the Mermaid diagrams of Markdown files: node mermaid.mjs FOLDER_OF_NODE_MODULES FILE...
// Prints what is wrong as JSON; exits with 1 if anything is.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, ...files] = process.argv.slice(2);
const require = createRequire(join(folder, "package.json"));
const { JSDOM } = require("jsdom");
const { window } = new JSDOM();
Object.assign(globalThis, { window, document: window.document });
const mermaid = (await import(pathToFileURL(join(folder, "node_modules/mermaid/dist/mermaid.core.mjs")))).default;

const findings = [];
for (const filepath of files) {
  const lines = readFileSync(filepath, "utf8").split("\n");
  for (let start = lines.findIndex(isFence); start >= 0; start = lines.findIndex((line, n) => n > start && isFence(line))) {
    const length = lines.slice(start + 1).findIndex((line) => line.trim() === "```");
    const diagram = lines.slice(start + 1, start + 1 + length).join("\n");
    try {
      await mermaid.parse(diagram);
    } catch (error) {
      findings.push({ filepath, line: start + 1, kind: "syntax", message: error.message.split("\n").join(" ") });
    }
  }
}
console.log(JSON.stringify(findings));
process.exit(findings.length ? 1 : 0);

function isFence(line) {
  return line.trim() === "```mermaid";
}
