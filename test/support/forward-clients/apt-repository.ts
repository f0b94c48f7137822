// A repository for apt with one package in it, and an apt of its own that knows no other and touches nothing of the machine's.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import type http from "node:http";
import path from "node:path";
import { runClient } from "./client-program.ts";

export interface AptRepository {
  /** Serves the repository at any path. */
  readonly handler: http.RequestListener;
  /** By the last segment of their paths. */
  readonly files: ReadonlyMap<string, string | Buffer>;
  readonly deb: Buffer;
}

/** Made in `folder` by dpkg-deb; `payload` is what the package installs. */
export async function makeAptRepository(folder: string, name: string, payload?: Buffer): Promise<AptRepository> {
  const control = `Package: ${name}\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@a.example>\nDescription: a test\n`;
  mkdirSync(path.join(folder, name, "DEBIAN"), { recursive: true });
  writeFileSync(path.join(folder, name, "DEBIAN", "control"), control);
  if (payload !== undefined) writeFileSync(path.join(folder, name, "payload"), payload);
  const built = await runClient("dpkg-deb", ["--root-owner-group", "--build", name, `${name}.deb`], { home: folder });
  if (built.status !== 0) throw new Error(`dpkg-deb: ${built.stderr}`);
  const deb = readFileSync(path.join(folder, `${name}.deb`));
  const packages = `${control}Filename: ./${name}.deb\nSize: ${deb.length}\nSHA256: ${sha256(deb)}\n`;
  const sum = `${sha256(packages)} ${packages.length} Packages`;
  const files = new Map<string, string | Buffer>([
    ["Release", `Suite: test\nCodename: test\nDate: ${new Date().toUTCString()}\nSHA256:\n ${sum}\n`],
    ["Packages", packages],
    [`${name}.deb`, deb],
  ]);
  return {
    deb,
    files,
    handler(request, response) {
      const file = files.get(path.posix.basename(request.url ?? ""));
      if (file === undefined) response.writeHead(404).end();
      else response.end(file);
    },
  };
}

function sha256(content: string | Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

/** A file for APT_CONFIG: all of apt's state is in `folder`, and its one source is `source`; `lines` are added. */
export function writeAptConfiguration(folder: string, source: string, lines: readonly string[]): string {
  for (const part of ["lists/partial", "archives/partial", "log"])
    mkdirSync(path.join(folder, part), { recursive: true });
  writeFileSync(path.join(folder, "status"), "");
  writeFileSync(path.join(folder, "sources.list"), `${source}\n`);
  const file = path.join(folder, "apt.conf");
  const own = [
    'Dir::Etc::main "/dev/null";',
    'Dir::Etc::parts "/dev/null";',
    'Dir::Etc::sourceparts "/dev/null";',
    'Dir::Etc::preferences "/dev/null";',
    'Dir::Etc::preferencesparts "/dev/null";',
    `Dir::Etc::sourcelist "${folder}/sources.list";`,
    `Dir::State "${folder}";`,
    `Dir::State::lists "${folder}/lists";`,
    `Dir::State::status "${folder}/status";`,
    `Dir::Cache "${folder}";`,
    `Dir::Cache::archives "${folder}/archives";`,
    `Dir::Log "${folder}/log";`,
    // The folder is its user's alone.
    'APT::Sandbox::User "";',
    'Acquire::Languages "none";',
    'Acquire::Retries "0";',
    ...lines,
  ];
  writeFileSync(file, `${own.join("\n")}\n`);
  return file;
}
