// The page of `sidewall dashboard` with flows from standard input: many of them, and ones that mean harm.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { browser, missing, open, start } from "./browser.mjs";
import { flood, line, manifests } from "./flows.mjs";

const skip = missing() || false;
const folder = mkdtempSync(join(tmpdir(), "sidewall-page-"));
let chromium;

before(async () => { if (!skip) chromium = await browser(); });
after(async () => {
  await chromium?.close();
  rmSync(folder, { recursive: true });
});

/** A dashboard of so many pods, and a page of it; both end with the test. */
async function dashboard(t, pods) {
  writeFileSync(join(folder, "pods.yaml"), manifests(pods));
  const served = await start(["dashboard", "--manifests", folder, "--input-file", "-", "--page-port", "0"]);
  t.after(() => served.stop());
  const opened = await open(chromium, served.address);
  t.after(() => opened.close());
  return { input: served.input, ...opened };
}

test("what a flow says is text, never markup", { skip }, async (t) => {
  const { page, errors, input } = await dashboard(t, 2);
  const evil = "<img src=x onerror=document.title='owned'>";
  input.write(`${JSON.stringify(line(1, { summary: evil, verdict: "DROPPED" }))}\n`);
  await page.waitForSelector(".flows tbody tr.blocked");
  assert.match(await page.textContent(".flows tbody tr .reason"), /<img src=x/);
  assert.equal(await page.locator(".flows img").count(), 0);
  assert.equal(await page.title(), "sidewall");
  assert.deepEqual(errors, []);
});

test("300 pods with 10 000 flows a second: thinned, with their number told", { skip }, async (t) => {
  const { page, errors, input } = await dashboard(t, 300);
  await flood(input, 10_000, 3);
  await page.waitForFunction(() => /^\d+ not shown/.test(document.querySelector(".flows [role=status]").textContent));
  const skipped = Number.parseInt(await page.textContent(".flows [role=status]"), 10);
  assert.ok(skipped > 10_000, `${skipped} skipped`);
  assert.ok(await page.locator(".flows tbody tr").count() <= 100);
  assert.equal(await page.locator(".workload").count(), 30);
  assert.deepEqual(errors, []);
});
