// The page of `sidewall demo`, in a real browser: a newcomer's first minutes, and what must never happen.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { browser, click, edge, missing, open, start } from "./browser.mjs";

const skip = missing() || false;
const [API, ATTACKER, DB] = ["api", "attacker", "db"].map((pod) => `np-demo/Pod/${pod}`);
let demo;
let chromium;

before(async () => {
  if (skip) return;
  [demo, chromium] = await Promise.all([start(["demo", "--page-port", "0"]), browser()]);
});
after(async () => {
  await chromium?.close();
  await demo?.stop();
});

/** A page with a lab in which nothing has happened yet. */
async function fresh(t, options, query) {
  const opened = await open(chromium, demo.address, options, query);
  t.after(() => opened.close());
  const reset = opened.page.waitForResponse("**/api/v1/reset");
  await opened.page.locator("header button").nth(1).click();
  assert.equal((await reset).status(), 200);
  return opened;
}

async function connect(page, from, to, port = "80") {
  await page.selectOption("select[name=from]", from);
  await page.selectOption("select[name=to]", to);
  await page.fill("input[name=port]", port);
  await page.click(".try button.primary");
  await page.waitForFunction(() => /[✓✗]/.test(document.querySelector(".result")?.textContent ?? ""));
  return page.textContent(".result");
}

async function write(page, yaml) {
  await page.locator("header button").first().click();
  await page.fill(".editor textarea", yaml);
}

const policy = (name, spec) => `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: ${name}, namespace: np-demo}
spec: ${spec}
`;
const DENY = policy("deny-db", "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]}");

test("a newcomer blocks the attacker by hand, reads why, and lets it in again", { skip }, async (t) => {
  const { page, errors } = await fresh(t);
  assert.match(await connect(page, "np-demo/attacker", "np-demo/db"), /✓/);
  await edge(page, ATTACKER, DB, "allowed").waitFor();

  await write(page, DENY);
  await page.getByText("Connections lost").waitFor();
  await page.click(".editor button.primary");
  // The arrow turns red at once, by the engine's word; the next connection proves it.
  await edge(page, ATTACKER, DB, "blocked").waitFor();
  assert.match(await connect(page, "np-demo/attacker", "np-demo/db"), /✗/);
  await page.waitForSelector(".edge.blocked:not(.predicted)");
  assert.equal(await edge(page, ATTACKER, DB, "blocked").getAttribute("data-at"), "ingress");

  await click(page, edge(page, ATTACKER, DB, "blocked"));
  await page.locator(".why").getByText("np-demo/deny-db isolates np-demo/db").first().waitFor();
  const suggestion = await page.textContent(".why pre.yaml");
  assert.match(suggestion, /app: attacker/);

  await page.getByRole("button", { name: "Open in the editor" }).click();
  await page.getByText("Connections gained").waitFor();
  await page.click(".editor button.primary");
  await edge(page, ATTACKER, DB, "allowed").waitFor();
  assert.match(await connect(page, "np-demo/attacker", "np-demo/db"), /✓/);
  assert.equal(await edge(page, ATTACKER, DB, "blocked").count(), 0);
  assert.deepEqual(errors, []);
});

for (const [language, done] of [["en", "All as told. The tour is over."], ["ja", "すべて説明どおりです。ツアーは終わりです。"]]) {
  test(`the tour goes from start to end in ${language}, all as told`, { skip }, async (t) => {
    const { page, errors } = await fresh(t, {}, `?lang=${language}`);
    await page.click(".tour summary");
    const [play, next] = [page.locator(".tour button").nth(1), page.locator(".tour button").nth(2)];
    for (let step = 1; ; step += 1) {
      assert.match(await page.textContent(".tour h3"), new RegExp(` ${step}/6:`));
      await play.click();
      await page.waitForSelector(".tour [role=status] li", { timeout: 60_000 });
      assert.equal(await page.locator(".tour [role=status] .problem").count(), 0, await page.textContent(".tour"));
      if (step === 6) break;
      await next.click();
    }
    await page.getByText(done).waitFor();
    assert.equal(await page.getAttribute("html", "lang"), language);
    assert.deepEqual(errors, []);
    });
}

test("bad YAML is refused with line and message, and nothing is applied", { skip }, async (t) => {
  const { page } = await fresh(t);
  await write(page, DENY.replace("podSelector", "podSelektor"));
  await page.click(".editor button.primary");
  await page.locator(".editor .problem li, .editor li.problem").first().waitFor();
  assert.match(await page.textContent(".editor .preview"), /line 4: .*podSelektor/);
  assert.ok(await page.locator(".editor").isVisible());
  const state = await (await fetch(`${demo.address}api/v1/state`)).json();
  assert.deepEqual(state.policies, []);
});

test("the table's filter is the one of observe, and a bad one is named", { skip }, async (t) => {
  const { page } = await fresh(t);
  await write(page, DENY);
  await page.click(".editor button.primary");
  await page.waitForSelector("[data-policy='np-demo/deny-db']");
  await connect(page, "np-demo/api", "np-demo/db");
  await page.fill(".filter", "--verdict DROPPED --to-pod np-demo/db");
  await page.press(".filter", "Enter");
  await page.waitForFunction(() => {
    const rows = [...document.querySelectorAll(".flows tbody tr")];
    return rows.length > 0 && rows.every((row) => row.dataset.verdict === "blocked");
  });
  await page.fill(".filter", "--verdict MAYBE");
  await page.press(".filter", "Enter");
  await page.waitForFunction(() => document.querySelector(".flows .problem").textContent.includes("MAYBE"));
});

test("the keyboard is enough: choose an arrow, read why, write a policy", { skip }, async (t) => {
  const { page, errors } = await fresh(t);
  await connect(page, "np-demo/api", "np-demo/db");
  await edge(page, API, DB, "allowed").waitFor();
  await page.focus(".picture");
  for (let press = 0; press < 20; press += 1) {
    await page.keyboard.press("ArrowRight");
    if (await page.evaluate(() => document.activeElement.classList.contains("edge"))) break;
  }
  assert.match(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), /np-demo\/Pod\/api → np-demo\/Pod\/db: allowed/);
  await page.keyboard.press("Enter");
  await page.waitForSelector(".why .verdict.allowed");
  await page.focus("header button");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".editor[open]");
  assert.equal(await page.evaluate(() => document.activeElement.tagName), "TEXTAREA");
  await page.keyboard.press("Escape");
  assert.equal(await page.locator(".editor[open]").count(), 0);
  assert.deepEqual(errors, []);
});

test("light and dark follow the system, and the button", { skip }, async (t) => {
  const ground = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const { page } = await fresh(t, { colorScheme: "dark" });
  assert.equal(await ground(page), "rgb(13, 17, 23)");
  await page.click("[aria-label='Light or dark']");
  assert.equal(await ground(page), "rgb(246, 248, 250)");
});

test("the language changes on the page, lessons and all", { skip }, async (t) => {
  const { page } = await fresh(t);
  await page.click("button.language");
  assert.equal(await page.textContent("#policies-title"), "ポリシー0");
  assert.match(await page.textContent(".tour summary"), /ネットワークポリシー入門/);
  await page.click("button.language");
  assert.equal(await page.textContent("#policies-title"), "Policies0");
});

test("a policy shows whom it selects, and how often it decided", { skip }, async (t) => {
  const { page } = await fresh(t);
  await write(page, DENY);
  await page.click(".editor button.primary");
  const shown = page.locator("[data-policy='np-demo/deny-db']");
  await connect(page, "np-demo/attacker", "np-demo/db");
  await page.waitForFunction(() => /✗ [1-9]/.test(document.querySelector("[data-policy='np-demo/deny-db']").textContent));
  await shown.hover();
  assert.deepEqual(await page.locator(".workload.marked").evaluateAll((all) => all.map((one) => one.dataset.id)), [DB]);
});

test("only the page itself may write, and only this machine may read", { skip }, async () => {
  const write = (headers) => fetch(`${demo.address}api/v1/reset`, { method: "POST", headers });
  assert.equal((await write({})).status, 403);
  assert.equal((await write({ "x-sidewall-token": "guess" })).status, 403);
  const { port } = new URL(demo.address);
  const { request } = await import("node:http");
  const status = await new Promise((resolve, reject) => request(
    { host: "127.0.0.1", port, path: "/api/v1/state", headers: { host: `evil.example:${port}` } },
    (answer) => { answer.resume(); resolve(answer.statusCode); },
  ).on("error", reject).end());
  assert.equal(status, 403);
  const policy = (await fetch(demo.address)).headers.get("content-security-policy");
  assert.match(policy, /default-src 'none'; script-src 'self'/);
});
