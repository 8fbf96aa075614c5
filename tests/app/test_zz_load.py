import threading, time, socket
from concurrent.futures import ThreadPoolExecutor
import uvicorn, pytest, os
from app.main import create_app
import httpx2 as httpx

@pytest.mark.parametrize("n", [int(os.environ.get("N","80"))])
@pytest.mark.parametrize("kind", ["get","post"])
def test_load(settings, ready, begin, answer, browser, n, kind):
    study = ready(readers=n, cases=2)
    jobs=[]
    for link in study.links:
        b=browser(); begin(b, link)
        w=b.get("/reading/window").json()
        jobs.append((dict(b.cookies), w["tokens"][0]))
    app=create_app(settings)
    sock=socket.socket(); sock.bind(("127.0.0.1",0)); port=sock.getsockname()[1]
    server=uvicorn.Server(uvicorn.Config(app, log_level="error"))
    th=threading.Thread(target=server.run, kwargs={"sockets":[sock]}, daemon=True); th.start()
    while not server.started: time.sleep(.05)
    barrier=threading.Barrier(n)
    def go(job):
        cookies, token=job
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", cookies=cookies, timeout=60) as c:
            barrier.wait()
            t=time.time()
            try:
                r = c.post("/reading/responses", json=answer(token)) if kind=="post" else c.get("/reading/images/"+token)
                return r.status_code, round(time.time()-t,2)
            except Exception as e:
                return repr(e), round(time.time()-t,2)
    with ThreadPoolExecutor(n) as pool:
        res=list(pool.map(go, jobs))
    from collections import Counter
    print(kind, settings.database_url[:8], Counter(r[0] for r in res), "max", max(r[1] for r in res))
    server.should_exit=True; th.join(10); print("stopped", not th.is_alive()); sock.close()
    if not th.is_alive(): app.state.database.close()
