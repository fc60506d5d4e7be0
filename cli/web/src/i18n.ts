// The page's own words in both languages. What the engine says about a flow stays in the engine's words,
// which are those of the log and the command line.

import type { Text } from "./types";

export type Language = "en" | "ja";

const WORDS = {
  policies: { en: "Policies", ja: "ポリシー" },
  noPolicies: { en: "No policy yet: every pod is open.", ja: "ポリシーはまだありません。すべての Pod が通信できます。" },
  selectsNothing: { en: "selects no pod", ja: "選択する Pod なし" },
  findings: { en: "Findings", ja: "指摘" },
  noFindings: { en: "Nothing to remark.", ja: "指摘はありません。" },
  allowedCount: { en: "allowed", ja: "許可" },
  blockedCount: { en: "blocked", ja: "遮断" },
  edit: { en: "Edit policies", ja: "ポリシーを編集" },
  newPolicy: { en: "New policy", ja: "新しいポリシー" },
  remove: { en: "Delete", ja: "削除" },
  preview: { en: "Preview", ja: "プレビュー" },
  apply: { en: "Apply", ja: "適用" },
  reset: { en: "Reset", ja: "リセット" },
  resetHint: { en: "Removes every policy and starts the story anew", ja: "すべてのポリシーを消して最初から始めます" },
  cancel: { en: "Cancel", ja: "キャンセル" },
  gained: { en: "Connections gained", ja: "新たに可能になる通信" },
  lost: { en: "Connections lost", ja: "できなくなる通信" },
  noChange: { en: "No connection is gained or lost.", ja: "通信に変化はありません。" },
  mistakes: { en: "Not applied:", ja: "適用できません:" },
  line: { en: "line", ja: "行" },
  why: { en: "Why", ja: "理由" },
  whyHint: { en: "Choose a connection in the picture or a line in the table.", ja: "図の矢印か、表の行を選んでください。" },
  leaving: { en: "Leaving the source (egress)", ja: "送信元から出る (egress)" },
  entering: { en: "Entering the destination (ingress)", ja: "宛先に入る (ingress)" },
  noSay: { en: "No pod's policy has a say here.", ja: "ここで判定する Pod のポリシーはありません。" },
  loopback: { en: "A pod's connection to itself never leaves it.", ja: "Pod 自身への通信は外に出ません。" },
  allowIt: { en: "The smallest policy that would allow it", ja: "これを許可する最小のポリシー" },
  useIt: { en: "Open in the editor", ja: "エディタで開く" },
  terminal: { en: "The same in a terminal", ja: "端末で同じことを調べる" },
  copy: { en: "Copy", ja: "コピー" },
  copied: { en: "Copied", ja: "コピーしました" },
  flows: { en: "Flows", ja: "フロー" },
  filter: { en: "Filter, as of sidewall observe: --verdict DROPPED --port 80", ja: "フィルター (sidewall observe と同じ): --verdict DROPPED --port 80" },
  pause: { en: "Pause", ja: "一時停止" },
  resume: { en: "Resume", ja: "再開" },
  export: { en: "Export JSON", ja: "JSON で保存" },
  skipped: { en: "not shown, too many at once", ja: "件は多すぎるため非表示" },
  time: { en: "Time", ja: "時刻" },
  verdict: { en: "Verdict", ja: "判定" },
  from: { en: "From", ja: "送信元" },
  to: { en: "To", ja: "宛先" },
  port: { en: "Port", ja: "ポート" },
  where: { en: "Where", ja: "場所" },
  reason: { en: "Reason", ja: "理由" },
  try: { en: "Try a connection", ja: "接続を試す" },
  connect: { en: "Connect", ja: "接続" },
  lookup: { en: "Look up a name", ja: "名前を引く" },
  keepTrying: { en: "Repeat every 2 s", ja: "2 秒ごとに繰り返す" },
  trying: { en: "trying …", ja: "試行中 …" },
  tour: { en: "Guided tour", ja: "ガイドツアー" },
  step: { en: "Step", ja: "ステップ" },
  play: { en: "Do this step", ja: "このステップを実行" },
  next: { en: "Next", ja: "次へ" },
  back: { en: "Back", ja: "戻る" },
  done: { en: "All as told. The tour is over.", ja: "すべて説明どおりです。ツアーは終わりです。" },
  asTold: { en: "as told", ja: "説明どおり" },
  notAsTold: { en: "not as told", ja: "説明と異なる" },
  allowed: { en: "allowed", ja: "許可" },
  blocked: { en: "blocked", ja: "遮断" },
  audit: { en: "audit", ja: "監査" },
  atEgress: { en: "leaving its source", ja: "送信元を出るとき" },
  atIngress: { en: "entering its destination", ja: "宛先に入るとき" },
  predicted: { en: "by the policies of now; not tried since", ja: "現在のポリシーによる予測 (未試行)" },
  theme: { en: "Light or dark", ja: "明暗の切り替え" },
  world: { en: "outside", ja: "外部" },
  gone: { en: "gone", ja: "削除済み" },
  isolated: { en: "isolated", ja: "隔離" },
  pods: { en: "pods", ja: "Pod" },
  lostServer: { en: "The server does not answer; trying again.", ja: "サーバーが応答しません。再接続中です。" },
  picture: { en: "Pods and connections", ja: "Pod と通信" },
  fit: { en: "Fit", ja: "全体表示" },
  keys: { en: "Tab and arrows move, Enter explains, + − 0 zoom", ja: "Tab と矢印で移動、Enter で理由、+ − 0 で拡大縮小" },
} satisfies Record<string, Text>;

export type Word = keyof typeof WORDS;

let language: Language = pick();

function pick(): Language {
  const wanted = new URLSearchParams(location.search).get("lang") ?? localStorage.getItem("lang") ?? navigator.language;
  return wanted.startsWith("ja") ? "ja" : "en";
}

/** The language in force. */
export function current(): Language { return language; }

/** Changes the language; the caller draws anew. */
export function choose(wanted: Language): void {
  language = wanted;
  localStorage.setItem("lang", wanted);
  document.documentElement.lang = wanted;
}

/** One of the page's own words. */
export function t(word: Word): string { return WORDS[word][language]; }

/** A text of the story. */
export function told(text: Text): string { return text[language]; }
