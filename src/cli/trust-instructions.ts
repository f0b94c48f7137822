/**
 * How clients are made to trust the CA of interception, as commands that can be pasted. This is the one place that says so: the
 * documentation shows what `headgate ca show` prints.
 */

interface Instructions {
  readonly title: string;
  /** Commands, and notes that begin with "#". */
  readonly lines: (file: string) => readonly string[];
}

const INSTRUCTIONS = {
  debian: {
    title: "Debian, Ubuntu, Alpine (for curl, wget, git, apt, Go, Ruby and what else uses the system's CAs)",
    lines: (file) => [
      `sudo cp ${file} /usr/local/share/ca-certificates/headgate.crt`,
      "sudo update-ca-certificates",
      "# To take it back: remove that file, then sudo update-ca-certificates --fresh",
    ],
  },
  fedora: {
    title: "Fedora, RHEL",
    lines: (file) => [`sudo cp ${file} /etc/pki/ca-trust/source/anchors/headgate.pem`, "sudo update-ca-trust"],
  },
  macos: {
    title: "macOS (for Safari, Chrome and what else uses the keychain)",
    lines: (file) => [`sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain ${file}`],
  },
  windows: {
    title: "Windows, as administrator (for Edge, Chrome and what else uses the system's store)",
    lines: (file) => [
      `certutil -addstore -f Root ${file}`,
      "# The curl and the git of Windows ask for a list of revoked certificates, which this CA has not:",
      "#   curl --ssl-revoke-best-effort ...; git config --global http.schannelCheckRevoke false",
    ],
  },
  firefox: {
    title: "Firefox",
    lines: (file) => [
      "# Settings, Privacy & Security, View Certificates, Authorities, Import; tick: identify websites.",
      "# For all users: in policies.json (on Linux /etc/firefox/policies/policies.json)",
      `#   { "policies": { "Certificates": { "Install": [${JSON.stringify(unquoted(file))}] } } }`,
    ],
  },
  chromium: {
    title: "Chrome and Chromium on Linux (certutil is in libnss3-tools)",
    lines: (file) => [
      'mkdir -p "$HOME/.pki/nssdb"',
      'certutil -d "sql:$HOME/.pki/nssdb" -L >/dev/null 2>&1 || certutil -d "sql:$HOME/.pki/nssdb" -N --empty-password',
      `certutil -d "sql:$HOME/.pki/nssdb" -A -t C,, -n headgate -i ${file}`,
    ],
  },
  node: {
    title: "Node.js, and npm, yarn and pnpm with it (beside the CAs that it knows)",
    lines: (file) => [`export NODE_EXTRA_CA_CERTS=${file}`],
  },
  npm: {
    title: "npm alone (in place of all other CAs: for when all registries are intercepted)",
    lines: (file) => [`npm config set cafile ${file}`],
  },
  python: {
    title: "Python: urllib, requests, pip (in place of all other CAs)",
    lines: (file) => [
      `export SSL_CERT_FILE=${file}`,
      `export REQUESTS_CA_BUNDLE=${file}`,
      `export PIP_CERT=${file}`,
      "# Beside the others: trust it as on Debian above, and name /etc/ssl/certs/ca-certificates.crt in all three.",
    ],
  },
  java: {
    title: "Java (Debian's own packages follow the system's CAs)",
    lines: (file) => [
      `sudo keytool -importcert -noprompt -cacerts -storepass changeit -alias headgate -file ${file}`,
      "# Java takes any name from a CA that it trusts, whatever that may certify; OpenSSL and Chromium do not.",
    ],
  },
  curl: {
    title: "curl (in place of all other CAs)",
    lines: (file) => [`export CURL_CA_BUNDLE=${file}`, `# Or for one call: curl --cacert ${file} ...`],
  },
  git: {
    title: "git (in place of all other CAs)",
    lines: (file) => [`git config --global http.sslCAInfo ${file}`],
  },
  apt: {
    title: "apt alone (a copy that its own user may read; in place of all other CAs)",
    lines: (file) => [
      `sudo install -m 644 ${file} /etc/apt/headgate-ca.pem`,
      `echo 'Acquire::https::CAInfo "/etc/apt/headgate-ca.pem";' | sudo tee /etc/apt/apt.conf.d/90headgate-ca`,
    ],
  },
} as const satisfies Readonly<Record<string, Instructions>>;

export type TrustPlace = keyof typeof INSTRUCTIONS;
export const TRUST_PLACES = Object.keys(INSTRUCTIONS) as readonly TrustPlace[];

/** Lines for one place, or for all. */
export function trustInstructions(certificateFile: string, place: TrustPlace | null): readonly string[] {
  const file = quoted(certificateFile);
  return (place === null ? TRUST_PLACES : [place]).flatMap((name) => {
    const { title, lines } = INSTRUCTIONS[name];
    return ["", `${title}:`, ...lines(file).map((line) => `  ${line}`)];
  });
}

/** As a shell reads it. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function unquoted(text: string): string {
  return text.startsWith("'") ? text.slice(1, -1).replaceAll("'\\''", "'") : text;
}
