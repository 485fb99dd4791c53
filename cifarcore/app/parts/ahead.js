// Streamlit loads what draws charts and tables when a page first has one, and the reader waits; here the browser loads
// it before, once the page stands still. Where that fails, Streamlit loads it as ever.
{
  const index = document.querySelector('script[type="module"][src*="/static/js/"]')?.src;
  const isStill = () =>
    document.querySelector("[data-testid=stApp]")?.dataset.testScriptState === "notRunning" &&
    !document.querySelector("[data-testid=stSkeleton]");
  const whenIdle = window.requestIdleCallback ?? ((act) => setTimeout(act, 50));
  const next = () => {
    if (!isStill()) setTimeout(next, 100);
    else if (AHEAD.length) whenIdle(() => import(new URL(AHEAD.shift(), index)).catch(() => {}).then(next));
  };
  if (index) setTimeout(next, 100);
}
