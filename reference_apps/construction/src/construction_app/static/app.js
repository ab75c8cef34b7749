// Times come in the server's zone; show them in the reader's.
for (const element of document.querySelectorAll("time[datetime]")) {
  element.textContent = new Date(element.dateTime).toLocaleString("pt-BR", { dateStyle: "short", timeStyle: "short" });
}
