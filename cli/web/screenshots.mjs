// Takes the pictures of docs/page.md and the README: `node screenshots.mjs`, after a build.

import { fileURLToPath } from "node:url";
import { browser, click, edge, open, start } from "./tests/browser.mjs";

const picture = (name) => fileURLToPath(new URL(`../../docs/img/${name}.png`, import.meta.url));
const [demo, chromium] = await Promise.all([start(["demo", "--page-port", "0"]), browser()]);

for (const [name, options, query] of [
  ["page-light", { colorScheme: "light" }, ""],
  ["page-dark-ja", { colorScheme: "dark", locale: "ja-JP" }, "?lang=ja"],
]) {
  const { page, close } = await open(chromium, demo.address, { ...options, viewport: { width: 1500, height: 940 } }, query);
  const reset = page.waitForResponse("**/api/v1/reset");
  await page.locator("header button").nth(1).click();
  await reset;
  await page.click(".tour summary");
  for (let step = 1; step <= 3; step += 1) {
    await page.locator(".tour button").nth(1).click();
    await page.waitForSelector(".tour [role=status] li", { timeout: 60_000 });
    if (step < 3) await page.locator(".tour button").nth(2).click();
  }
  await click(page, edge(page, "np-demo/Pod/attacker", "np-demo/Pod/db", "blocked"));
  await page.waitForSelector(".why pre.command");
  await page.waitForTimeout(1200);
  await page.screenshot({ path: picture(name) });
  await close();
}
await chromium.close();
await demo.stop();
