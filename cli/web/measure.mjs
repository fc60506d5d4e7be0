// How smooth the page stays: `node measure.mjs`. Flows at several rates into a dashboard of 300 pods, in a
// real Chromium; prints the longest task of the page's thread and frames a second. A figure, not a test.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { browser, open, start } from "./tests/browser.mjs";
import { flood, manifests } from "./tests/flows.mjs";

const SECONDS = 15;
const folder = mkdtempSync(join(tmpdir(), "sidewall-page-"));
writeFileSync(join(folder, "pods.yaml"), manifests(300));
const chromium = await browser();
console.log("| flows a second | longest task, ms | tasks over 50 ms | frames a second | rows shown | told as not shown |");
console.log("|---|---|---|---|---|---|");
for (const rate of [0, 100, 1_000, 10_000]) {
  const served = await start(["dashboard", "--manifests", folder, "--input-file", "-", "--page-port", "0"]);
  const { page, close } = await open(chromium, served.address);
  // The first drawing is not part of it.
  await page.waitForTimeout(2000);
  await page.evaluate(() => {
    window.measured = { longest: 0, tasks: 0, frames: 0 };
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) {
        window.measured.tasks += 1;
        window.measured.longest = Math.max(window.measured.longest, duration);
      }
    }).observe({ type: "longtask" });
    const frame = () => { window.measured.frames += 1; requestAnimationFrame(frame); };
    requestAnimationFrame(frame);
  });
  if (rate) await flood(served.input, rate, SECONDS);
  else await page.waitForTimeout(SECONDS * 1000);
  const { longest, tasks, frames } = await page.evaluate(() => window.measured);
  const rows = await page.locator(".flows tbody tr").count();
  const skipped = Number.parseInt(await page.textContent(".flows [role=status]"), 10) || 0;
  console.log(`| ${rate} | ${longest.toFixed(0)} | ${tasks} | ${(frames / SECONDS).toFixed(0)} | ${rows} | ${skipped} |`);
  await close();
  await served.stop();
}
await chromium.close();
rmSync(folder, { recursive: true });
