#!/usr/bin/env python3
"""Compares the changes that two builds of the server make on PostgreSQL: create, update, forget, one after the other.

    benches/changes.py OLD/target/release/oubliette NEW/target/release/oubliette

Each server has an empty database of a PostgreSQL of its own, and is asked by one client over one connection. The builds take turns.
Prints medians of a round in milliseconds, and the ratio of each round: the median, and the range. Needs PostgreSQL's server
binaries; as root it runs them as `postgres`.
"""

import http.client
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS, USERS, WARM_UP = 7, 300, 100
CREATE = "mutation($i: CreateUserInput!) { createUser(input: $i) { id } }"
UPDATE = "mutation($id: ID!, $i: UpdateUserInput!) { updateUser(id: $id, input: $i) { id } }"
FORGET = "mutation($id: ID!) { forgetUser(id: $id) { sequence } }"


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Postgres:
    def __init__(self, folder):
        self.binaries = sorted(pathlib.Path("/usr/lib/postgresql").iterdir())[-1] / "bin"
        self.data, self.port = folder / "postgres" / "data", free_port()
        self.data.parent.mkdir()
        if os.getuid() == 0:
            shutil.chown(self.data.parent, "postgres", "postgres")
        self.run("initdb", "-D", self.data, "-A", "trust", "-U", "postgres")
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        self.run("pg_ctl", "-D", self.data, "-w", "-l", self.data.parent / "log", "-o", options, "start")

    def run(self, program, *arguments):
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
        command = [*user, str(self.binaries / program), *map(str, arguments)]
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL)

    def create(self, database):
        self.run("createdb", "-h", "127.0.0.1", "-p", self.port, "-U", "postgres", database)
        return f"postgres://postgres@127.0.0.1:{self.port}/{database}"

    def stop(self):
        self.run("pg_ctl", "-D", self.data, "-m", "immediate", "stop")


class Server:
    def __init__(self, binary, folder, database_url):
        folder.mkdir()
        port, self.created = free_port(), 0
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OUBLIETTE_")}
        environment |= {
            # That of its own release: another one may have settings that it does not know.
            "OUBLIETTE_CONFIG_DIR": str(pathlib.Path(binary).resolve().parents[2] / "config"),
            "OUBLIETTE_HTTP__LISTEN": f"127.0.0.1:{port}",
            "OUBLIETTE_DATABASE__URL": database_url,
            "OUBLIETTE_LIMITS__REQUESTS_PER_SECOND_PER_ADDRESS": "0",
            "OUBLIETTE_LOG__FILTER": "error",
        }
        self.process = subprocess.Popen([pathlib.Path(binary).resolve()], cwd=folder, env=environment)
        for _ in range(200):
            time.sleep(0.1)
            self.connection = http.client.HTTPConnection("127.0.0.1", port)
            try:
                self.connection.connect()
                return
            except ConnectionRefusedError:
                pass
        sys.exit(f"{binary} does not serve")

    def ask(self, query, variables):
        body = json.dumps({"query": query, "variables": variables})
        began = time.perf_counter()
        self.connection.request("POST", "/graphql", body, {"content-type": "application/json"})
        answer = json.loads(self.connection.getresponse().read())
        took = (time.perf_counter() - began) * 1000
        if "errors" in answer:
            sys.exit(f"{answer}")
        return took, answer["data"]

    def round(self, users):
        ids, times = [], {"create": [], "update": [], "forget": []}
        for _ in range(users):
            self.created += 1
            user = {"username": f"user{self.created}", "email": f"user{self.created}@example.com"}
            took, data = self.ask(CREATE, {"i": user})
            times["create"].append(took)
            ids.append(data["createUser"]["id"])
        for user in ids:
            times["update"].append(self.ask(UPDATE, {"id": user, "i": {"email": "other@example.com"}})[0])
        for user in ids:
            times["forget"].append(self.ask(FORGET, {"id": user})[0])
        return {what: statistics.median(took) for what, took in times.items()}


def shown(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        postgres, servers = Postgres(folder), []
        try:
            for name, binary in zip(("old", "new"), sys.argv[1:]):
                servers.append(Server(binary, folder / name, postgres.create(name)))
            for server in servers:
                server.round(WARM_UP)
            rounds = []
            for number in range(ROUNDS):
                turns = servers if number % 2 == 0 else servers[::-1]
                took = {server: server.round(USERS) for server in turns}
                rounds.append([took[server] for server in servers])
            print("| change | old, ms | new, ms | ratio |\n| --- | ---: | ---: | ---: |")
            for what in ("create", "update", "forget"):
                old, new = ([took[index][what] for took in rounds] for index in (0, 1))
                ratio = [after / before for before, after in zip(old, new)]
                print(f"| {what} | {shown(old)} | {shown(new)} | {shown(ratio)} |")
        finally:
            for server in servers:
                server.process.kill()
                server.process.wait()
            postgres.stop()


main()
