const every = 5000, lost = document.getElementById('lost');
let timer, seen = new Date();
async function look() {
  clearTimeout(timer);
  if (!document.hidden) {
    try {
      const answer = await fetch(location.pathname, {cache: 'no-store', signal: AbortSignal.timeout(2 * every)});
      if (!answer.ok) throw answer.status;
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
      for (const part of fresh.querySelectorAll('[data-live]')) {
        const old = document.getElementById(part.id);
        if (old.innerHTML !== part.innerHTML) old.innerHTML = part.innerHTML;
      }
      document.title = fresh.title;
      document.getElementById('icon').href = fresh.getElementById('icon').href;
      seen = new Date();
      lost.hidden = true;
    } catch {
      if (lost.hidden) {
        lost.textContent = 'This node has not answered since ' + seen.toLocaleTimeString() + '. What follows is old.';
        lost.hidden = false;
      }
    }
  }
  timer = setTimeout(look, every);
}
document.addEventListener('visibilitychange', () => document.hidden || look());
timer = setTimeout(look, every);
