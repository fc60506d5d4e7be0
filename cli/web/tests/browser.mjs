// What the tests of the page share: a demo or a dashboard of the built binary, and a real Chromium.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const root = fileURLToPath(new URL("../../../", import.meta.url));

/** The binary under test. */
export const SIDEWALL = process.env.SIDEWALL ?? `${root}target/debug/sidewall`;
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** Why the tests cannot run here, if so. A skip is said aloud, and in CI it is a failure. */
export function missing() {
  const gone = [SIDEWALL, CHROMIUM].filter((file) => !existsSync(file));
  const why = gone.length ? `there is no ${gone.join(" and no ")}` : process.getuid() === 0 ? "" : "the lab needs root";
  if (why && process.env.CI === "true") throw new Error(`${why}, and CI skips nothing`);
  if (why) console.error(`SKIPPED the page's tests: ${why}`);
  return why;
}

/** Starts `sidewall ARGS…` and waits for the address that it prints. */
export async function start(args) {
  const child = spawn(SIDEWALL, [...args, "--color", "never"], { cwd: root, stdio: ["pipe", "pipe", "pipe"] });
  let said = "";
  child.stderr.on("data", (text) => { said += text; });
  const lines = createInterface({ input: child.stdout });
  const address = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no address in a minute: ${said}`)), 60_000);
    lines.on("line", (line) => {
      const found = /http:\/\/127\.0\.0\.1:\d+\//.exec(line);
      if (!found) return;
      clearTimeout(timer);
      resolve(found[0]);
    });
    child.on("exit", (code) => reject(new Error(`sidewall ended with ${code}: ${said}`)));
  });
  const stop = () => new Promise((resolve) => {
    child.removeAllListeners("exit");
    child.on("exit", resolve);
    child.kill("SIGTERM");
  });
  return { address, input: child.stdin, stop };
}

/** A browser that asks nobody outside of this machine. */
export function browser() {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
}

/** A page that fails the test for any error on it, a violation of its Content-Security-Policy included. */
export async function open(chromium, address, options = {}, query = "") {
  const context = await chromium.newContext({ viewport: { width: 1600, height: 1000 }, locale: "en-GB", ...options });
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error") errors.push(message.text()); });
  await page.goto(address + query);
  await page.waitForSelector(".workload");
  return { page, errors, close: () => context.close() };
}

/** The arrow between two workloads with this verdict. */
export function edge(page, from, to, verdict) {
  return page.locator(`.edge[data-from="${from}"][data-to="${to}"][data-verdict="${verdict}"]`);
}

/** A click on the middle of an arrow, where a person would click: its box is mostly empty. */
export async function click(page, arrow) {
  const { x, y } = await arrow.locator(".line").evaluate((line) => {
    const middle = line.getPointAtLength(line.getTotalLength() * 0.6);
    const { x, y } = middle.matrixTransform(line.getScreenCTM());
    return { x, y };
  });
  await page.mouse.click(x, y);
}
