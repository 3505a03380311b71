// What pages do beyond working without script: nothing here is needed.
"use strict";
(() => {
  // Nothing polls where nobody looks.
  document.addEventListener("htmx:before:request", (event) => {
    if (document.hidden) event.preventDefault();
  });

  // Exact times in the reader's own zone and language.
  const language = document.documentElement.lang;
  const format = new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "long" });
  const localize = () => {
    for (const time of document.querySelectorAll("time[datetime]")) {
      time.title = format.format(new Date(time.dateTime));
    }
  };
  localize();
  document.addEventListener("htmx:after:swap", localize);

  // A second click must not lose the answer of the first, which shows a secret once.
  for (const form of document.querySelectorAll("form[data-once]")) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.once) event.preventDefault();
      form.dataset.once = "sent";
    });
    window.addEventListener("pageshow", () => { form.dataset.once = ""; });
  }

  for (const button of document.querySelectorAll("button[data-reveal]")) {
    const input = document.getElementById(button.dataset.reveal);
    const show = button.textContent;
    button.hidden = false;
    button.addEventListener("click", () => {
      const shown = input.type === "password";
      input.type = shown ? "text" : "password";
      button.textContent = shown ? button.dataset.hide : show;
      button.setAttribute("aria-pressed", String(shown));
      input.focus();
    });
    // A password manager keeps what was sent as a password.
    input.form?.addEventListener("submit", () => { input.type = "password"; });
  }

  if (navigator.clipboard) {
    for (const button of document.querySelectorAll("button[data-copy]")) {
      const label = button.textContent;
      button.hidden = false;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(button.dataset.copy);
        button.textContent = button.dataset.done;
        setTimeout(() => { button.textContent = label; }, 2000);
      });
    }
  }
})();
