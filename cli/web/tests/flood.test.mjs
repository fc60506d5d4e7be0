// The page of `sidewall dashboard` with flows from standard input: many of them, and ones that mean harm.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { browser, edge, missing, open, start } from "./browser.mjs";
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

test("the keyboard stays where it is while flows come, also when an arrow turns red", { skip }, async (t) => {
  const { page, errors, input } = await dashboard(t, 20);
  const focused = () => page.evaluate(() => {
    const { id, from, to, verdict } = document.activeElement.dataset;
    return id ?? `${from} ${verdict} ${to}`;
  });
  // A hundred flows of the same two, and wait until the table shows the last: batches have been drawn.
  const batches = async (verdict, first) => {
    for (let number = first; number < first + 100; number += 1) {
      input.write(`${JSON.stringify(line(number * 60, { pods: 20, verdict, summary: `flow ${number}` }))}\n`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await page.getByText(`flow ${first + 99}`, { exact: true }).waitFor();
  };
  await batches("FORWARDED", 0);
  await page.focus(".workload[data-id='team-0/StatefulSet/app-0']");
  await batches("FORWARDED", 100);
  assert.equal(await focused(), "team-0/StatefulSet/app-0");

  const arrow = page.locator(".edge").first();
  const { from, to } = await arrow.evaluate((element) => ({ ...element.dataset }));
  await arrow.focus();
  await batches("FORWARDED", 200);
  assert.equal(await focused(), `${from} allowed ${to}`);
  await batches("DROPPED", 300);
  assert.equal(await focused(), `${from} blocked ${to}`);

  await page.locator(".flows tbody tr").first().focus();
  await batches("FORWARDED", 400);
  assert.equal(await page.evaluate(() => document.activeElement.closest("tbody") !== null), true);
  assert.deepEqual(errors, []);
});

test("a pod that is gone keeps its name in the picture and in the table", { skip }, async (t) => {
  const { page, errors, input } = await dashboard(t, 2);
  const told = line(1);
  told.flow.source = { namespace: "batch", pod_name: "load-x7k2p", workloads: [{ kind: "Job", name: "load" }] };
  input.write(`${JSON.stringify(told)}\n`);
  const circle = page.locator(".workload.gone[data-id='batch/Job/load']");
  await circle.waitFor();
  assert.equal(await circle.getAttribute("aria-label"), "Job batch/load, gone");
  await edge(page, "batch/Job/load", "team-0/StatefulSet/app-0", "allowed").waitFor();
  await page.locator(".flows tbody td").getByText("batch/load-x7k2p", { exact: true }).waitFor();
  assert.equal(await page.locator(".workload.outside").count(), 0);
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
