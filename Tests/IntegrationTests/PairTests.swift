import ExactJSON
import Foundation
import Ledger
import TestSupport
import Testing

extension RealProcesses {
    /// `opsd verify` of two stores with each other, which nobody journals.
    @Suite(
        .serialized, .timeLimit(.minutes(5)),
        .enabled(if: StoreDesk.isWanted, "redis-server or PostgreSQL is not installed"))
    struct PairTests {
        private static let columns = """
            CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
            CREATE TYPE side AS ENUM ('buy', 'sell');
            """

        /// The same rows in tables that two people have made.
        private func makeTables(_ desk: PairDesk) async throws {
            try await desk.psqlBoth(Self.columns)
            try await desk.psqlLeft(
                """
                CREATE TABLE rows (account text, number integer, amount numeric(20,2),
                    at timestamptz, note text, code char(8), ratio float8, id uuid, day date,
                    flag boolean, what side, mark bytea, PRIMARY KEY (account, number));
                INSERT INTO rows SELECT 'A' || i % 50, i, i + 0.5, '2026-01-01 00:00+00'::timestamptz
                    + make_interval(secs => i * 0.000001), CASE WHEN i % 7 = 0 THEN NULL ELSE 'ä' || i END,
                    'c' || i, i / 3.0, md5(i::text)::uuid, '2026-01-01'::date + i % 300, i % 2 = 0,
                    CASE WHEN i % 2 = 0 THEN 'buy' ELSE 'sell' END::side, decode(md5(i::text), 'hex')
                FROM generate_series(1, 20000) AS i
                """)
            // Other types, another order of columns, another order of rows, a time without a zone.
            try await desk.psqlRight(
                """
                CREATE TABLE rows (mark bytea, what text, flag boolean, day date, id uuid,
                    ratio float8, code text, note text COLLATE loose, at timestamp,
                    amount numeric(30,8), number bigint, account varchar(40) COLLATE loose,
                    PRIMARY KEY (number, account));
                SET timezone = 'Asia/Shanghai';
                INSERT INTO rows SELECT decode(md5(i::text), 'hex'), CASE WHEN i % 2 = 0 THEN 'buy' ELSE
                    'sell' END, i % 2 = 0, '2026-01-01'::date + i % 300, md5(i::text)::uuid, i / 3.0,
                    'c' || i, CASE WHEN i % 7 = 0 THEN NULL ELSE 'ä' || i END,
                    '2026-01-01 00:00'::timestamp + make_interval(secs => i * 0.000001), i + 0.5, i,
                    'A' || i % 50
                FROM generate_series(1, 20000) AS i ORDER BY md5(i::text)
                """)
        }

        @Test func valuesAreComparedAsValues() async throws {
            let desk = try await PairDesk()
            try await makeTables(desk)
            let equal = try await desk.verify()
            #expect(equal.code == 0, "\(equal)")
            #expect(equal.outcome.output.contains("\"rows_compared\":20000"), "\(equal)")
            let book = try String(
                contentsOfFile: desk.directory.path("data/verify/pair@two.json"), encoding: .utf8)
            #expect(book.contains("\"outcome\" : \"equal\""))

            try await desk.psqlRight(
                """
                UPDATE rows SET amount = -amount WHERE number = 11;
                -- Two rows swap a value.
                UPDATE rows SET amount = CASE number WHEN 12 THEN 13.5 ELSE 12.5 END
                    WHERE number IN (12, 13);
                UPDATE rows SET note = '' WHERE number = 14;
                UPDATE rows SET note = 'Ä15' WHERE number = 15;
                UPDATE rows SET note = 'ä16 ' WHERE number = 16;
                UPDATE rows SET note = U&'a\\030817' WHERE number = 17;
                -- What PostgreSQL's own hash of a time takes for the same.
                UPDATE rows SET at = '2000-01-01'::timestamp WHERE number = 18;
                UPDATE rows SET ratio = ratio + 1e-12 WHERE number = 19;
                UPDATE rows SET id = md5('x')::uuid WHERE number = 20;
                UPDATE rows SET day = day + 1 WHERE number = 22;
                UPDATE rows SET flag = NOT flag WHERE number = 23;
                UPDATE rows SET mark = mark || '\\x00' WHERE number = 24;
                UPDATE rows SET account = lower(account) WHERE number = 25;
                DELETE FROM rows WHERE number = 26;
                INSERT INTO rows (number, account) VALUES (30000, 'Z'), (-1, 'A1');
                """)
            try await desk.psqlLeft(
                """
                UPDATE rows SET at = '2000-01-01 00:00+00'::timestamptz + make_interval(
                    secs => 4294.967297) WHERE number = 18;
                UPDATE rows SET note = NULL WHERE number = 14
                """)
            let wanted: Set<String> = [
                "corrupt A11/11", "corrupt A12/12", "corrupt A13/13", "corrupt A14/14",
                "corrupt A15/15", "corrupt A16/16", "corrupt A17/17", "corrupt A18/18",
                "corrupt A19/19", "corrupt A20/20", "corrupt A22/22", "corrupt A23/23",
                "corrupt A24/24", "missing A25/25", "rogue a25/25", "missing A26/26",
                "rogue Z/30000", "rogue A1/-1",
            ]
            let found = try await desk.verify()
            #expect(found.code == 1)
            #expect(found.lines == wanted, "\(found.lines.symmetricDifference(wanted))")
            let field = found.outcome.documents.first { $0?["key"]?.text == "pair/A11/11" }
            let shown = field??["fields"]?.elements?.first
            #expect(shown?["left"]?.text == "11.5")
            #expect(shown?["right"]?.text == "-11.5")

            // The same without the engines' hashes: a tolerance that nothing needs.
            let read = try await desk.verify(
                "left: {store: one, table: rows}, right: {store: two, table: rows}, "
                    + "tolerance: {at: 0s}")
            #expect(read.lines == wanted, "\(read.lines.symmetricDifference(wanted))")
            let some = try await desk.verify(
                "left: {store: one, table: rows}, right: {store: two, table: rows}, "
                    + "keys: [number, account], fields: [amount, at], tolerance: {amount: 30}")
            #expect(
                some.lines == [
                    "corrupt 18/A18", "missing 25/A25", "rogue 25/a25", "missing 26/A26",
                    "rogue 30000/Z", "rogue -1/A1",
                ], "\(some)")
        }

        /// One in a hundred differs, all over the table: exactly these, whatever the way.
        @Test func theSetOfRowsIsExact() async throws {
            let desk = try await PairDesk()
            for (name, sql) in [("left", "0"), ("right", "(i % 100 = 37)::int")] {
                let database = name == "left" ? desk.left : desk.right
                try await desk.server.psql(
                    database,
                    """
                    CREATE TABLE rows (id bigint PRIMARY KEY, amount numeric NOT NULL, note text);
                    INSERT INTO rows SELECT i, i + \(sql), 'n' || i FROM generate_series(1, 60000) i
                    """)
            }
            let wanted = Set((1...60_000).filter { $0 % 100 == 37 }.map { "corrupt \($0)" })
            let found = try await desk.verify()
            #expect(found.lines == wanted, "\(found.lines.symmetricDifference(wanted).count)")
            #expect(found.code == 1)
        }

        @Test func rowsWithoutAKeyOfTheirOwnAreCompared() async throws {
            let desk = try await PairDesk()
            try await desk.psqlBoth(
                """
                CREATE TABLE rows (id bigint, kind text, amount numeric);
                INSERT INTO rows SELECT i, 'k', i FROM generate_series(1, 3000) AS i;
                INSERT INTO rows VALUES (5, 'k', 5), (NULL, 'n', 1), (NULL, NULL, 2)
                """)
            let refused = try await desk.verify()
            #expect(refused.code == 3)
            #expect(refused.outcome.output.contains("add 'keys:"), "\(refused)")
            let check =
                "left: {store: one, table: rows}, right: {store: two, table: rows}, "
                + "keys: [id, kind]"
            #expect(try await desk.verify(check).code == 0)
            try await desk.psqlRight(
                """
                INSERT INTO rows VALUES (7, 'k', 7), (8, 'k', 80), (8, 'k', 80);
                DELETE FROM rows WHERE id = 5;
                INSERT INTO rows VALUES (5, 'k', 5);
                UPDATE rows SET amount = 3 WHERE kind IS NULL;
                UPDATE rows SET amount = 4 WHERE kind = 'n'
                """)
            let wanted: Set<String> = [
                "corrupt 7/k", "corrupt 8/k", "corrupt 5/k", "corrupt -/-", "corrupt -/n",
            ]
            let found = try await desk.verify(check)
            #expect(found.lines == wanted, "\(found)")
        }

        @Test func whatCannotBeReadIsUnknown() async throws {
            let desk = try await PairDesk()
            try await desk.psqlBoth(
                """
                CREATE TABLE rows (id bigint PRIMARY KEY, note text);
                INSERT INTO rows SELECT i, 'n' FROM generate_series(1, 100) AS i
                """)
            let user = "u" + UUID().uuidString.lowercased().prefix(8)
            try await desk.psqlRight(
                "CREATE ROLE \(user) LOGIN PASSWORD 'x'; CREATE TABLE other (id bigint PRIMARY KEY)"
            )
            let denied = try await desk.verify(user: user)
            #expect(denied.code == 3, "\(denied)")
            #expect(denied.lines.isEmpty)
            // A policy that hides rows would look like rows that are gone.
            try await desk.psqlRight(
                """
                GRANT SELECT ON rows TO \(user); ALTER TABLE rows ENABLE ROW LEVEL SECURITY;
                CREATE POLICY few ON rows USING (id < 50)
                """)
            let hidden = try await desk.verify(user: user)
            #expect(hidden.code == 3, "\(hidden)")
            #expect(hidden.lines.isEmpty)
            #expect(hidden.outcome.output.contains("row-level security"), "\(hidden)")
            let absent = try await desk.verify(
                "left: {store: one, table: rows}, right: {store: two, table: nothing}")
            #expect(absent.code == 3, "\(absent)")
            let types = try await desk.verify(
                "left: {store: one, table: rows}, right: {store: two, table: other}")
            #expect(types.code == 3, "\(types)")
            #expect(types.outcome.output.contains("add it to ignore"), "\(types)")
            // Whoever ignores the column is told of rows.
            let ignored = try await desk.verify(
                "left: {store: one, table: rows}, right: {store: two, table: other}, ignore: [note]"
            )
            #expect(ignored.code == 1)
            #expect(ignored.lines.count == 100)
        }

        @Test func aServerThatGoesAwayInTheMiddleIsUnknown() async throws {
            let server = try await PostgresServer()
            let desk = try await PairDesk(server)
            try await desk.psqlBoth(
                """
                CREATE TABLE rows (id bigint PRIMARY KEY, note text);
                INSERT INTO rows SELECT i, 'n' FROM generate_series(1, 3000) AS i
                """)
            try await desk.psqlRight(
                """
                CREATE VIEW slow AS
                    SELECT id, note || coalesce(pg_sleep(0.005)::text, '') AS note FROM rows
                """)
            let check =
                "left: {store: one, table: rows}, right: {store: two, table: slow}, keys: [id]"
            let run = Task { try await desk.verify(check) }
            try await eventually("the rows are being read") {
                try await server.psql(
                    "postgres",
                    "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
                ).hasPrefix("t")
            }
            await server.killAll()
            let found = try await run.value
            #expect(found.code == 3, "\(found)")
            #expect(found.lines.isEmpty)
            try await server.start()
        }

        /// Both sides are written while they are compared, the right one a little later.
        @Test func aWriterInProgressIsNoDifference() async throws {
            let desk = try await PairDesk()
            try await desk.psqlBoth(
                """
                CREATE TABLE rows (id bigint PRIMARY KEY, amount numeric);
                INSERT INTO rows SELECT i, 0 FROM generate_series(1, 30000) AS i
                """)
            let writer = Task {
                var turn = 0
                while !Task.isCancelled {
                    turn += 1
                    let sql = """
                        UPDATE rows SET amount = amount + 1 WHERE id % 200 = \(turn % 200);
                        INSERT INTO rows VALUES (\(100_000 + turn), 1);
                        DELETE FROM rows WHERE id = \(turn)
                        """
                    try await desk.psqlLeft(sql)
                    try await desk.psqlRight(sql)
                }
            }
            for _ in 0..<3 {
                let found = try await desk.verify(deadline: 3)
                #expect(found.code == 0, "\(found)")
            }
            try await desk.psqlRight("UPDATE rows SET amount = -1 WHERE id = 29999")
            try await desk.psqlRight("DELETE FROM rows WHERE id = 29998")
            let found = try await desk.verify(deadline: 3)
            writer.cancel()
            _ = try? await writer.value
            // The writer goes over them: what it adds to is still another amount.
            #expect(found.lines.contains("missing 29998"), "\(found)")
            #expect(found.lines.isSubset(of: ["missing 29998", "corrupt 29999", "lag 29999"]))
        }

        // MARK: Other engines

        private static let declared = """
            datasets:
              held: {kind: declared, key: [account_id, symbol],
                     fields: {days: integer, price: decimal, at: timestamp}}
            """

        @Test func redisFilesAndSQLiteAreComparedWithPostgres() async throws {
            let desk = try await PairDesk()
            let redis = try await RedisServer()
            try await desk.psqlLeft(
                """
                CREATE TABLE rows (account_id text, symbol text, days smallint, price numeric(12,4),
                    at timestamptz, comment text, PRIMARY KEY (account_id, symbol));
                INSERT INTO rows SELECT 'A' || a, 'S' || s, a, s + 0.25,
                    '2026-01-01 08:00+08'::timestamptz FROM generate_series(1, 20) a,
                    generate_series(1, 100) s
                """)
            let script = """
                import json, os, sqlite3, sys
                import redis
                port, folder = int(sys.argv[1]), sys.argv[2]
                hot = redis.Redis(port=port)
                db = sqlite3.connect(folder + "/old.sqlite")
                db.execute("CREATE TABLE held(symbol TEXT, account_id TEXT, days INTEGER, price REAL, "
                           "at TEXT, PRIMARY KEY (account_id, symbol))")
                for a in range(1, 21):
                    rows = {f"S{s}": {"days": a, "price": f"{s}.25", "at": "2026-01-01T00:00:00Z"}
                            for s in range(1, 101)}
                    hot.hset(f"old:A{a}", mapping={s: json.dumps(r) for s, r in rows.items()})
                    os.makedirs(f"{folder}/files/A{a}", exist_ok=True)
                    with open(f"{folder}/files/A{a}/held.json", "w") as out:
                        json.dump(rows, out)
                    for s, r in rows.items():
                        db.execute("INSERT INTO held VALUES (?, ?, ?, ?, ?)",
                                   (s, f"A{a}", r["days"], float(r["price"]), r["at"]))
                db.commit()
                """
            let made = try await Desk.command(
                ["python3", "-c", script, "\(redis.port)", desk.directory.path],
                in: desk.directory, program: "/usr/bin/env")
            try #require(made.code == 0, "\(made)")
            let stores = """
                  hot: {kind: redis, url: "redis://127.0.0.1:\(redis.port)/0"}
                  files: {kind: files, path: ./files}
                  old: {kind: sqlite, path: ./old.sqlite}
                """
            let sides = [
                "{store: hot, dataset: held, layout: "
                    + "{key: 'old:{account_id}', field: '{symbol}', value: json}}",
                "{store: files, dataset: held, layout: {path: '{account_id}/held.json'}}",
                "{store: old, table: held}, ignore: [comment]",
            ]
            for side in sides {
                let check = "left: {store: one, table: rows}, right: \(side)"
                let found = try await desk.verify(check, stores: stores, sections: Self.declared)
                #expect(found.code == 0, "\(side): \(found)")
                #expect(found.outcome.output.contains("\"rows_compared\":2000"), "\(found)")
            }
            try await desk.psqlLeft(
                """
                UPDATE rows SET price = price + 0.01 WHERE account_id = 'A7' AND symbol = 'S9';
                UPDATE rows SET at = at + interval '1 microsecond'
                    WHERE account_id = 'A8' AND symbol = 'S9';
                DELETE FROM rows WHERE account_id = 'A9' AND symbol = 'S9';
                INSERT INTO rows VALUES ('A9', 'NEW', 1, 1, now())
                """)
            let wanted: Set<String> = [
                "corrupt A7/S9", "corrupt A8/S9", "rogue A9/S9", "missing A9/NEW",
            ]
            for side in sides {
                let check = "left: {store: one, table: rows}, right: \(side)"
                let found = try await desk.verify(check, stores: stores, sections: Self.declared)
                #expect(found.lines == wanted, "\(side): \(found)")
            }
            // Redis with SQLite, which opsd writes neither.
            let both = try await desk.verify(
                "left: \(sides[0]), right: {store: old, table: held}", stores: stores,
                sections: Self.declared)
            #expect(both.code == 0, "\(both)")
            let tolerant = try await desk.verify(
                "left: {store: one, table: rows}, right: \(sides[0]), "
                    + "tolerance: {price: 0.01, at: 1ms}", stores: stores,
                sections: Self.declared)
            #expect(tolerant.lines == ["rogue A9/S9", "missing A9/NEW"], "\(tolerant)")
            // A store that is away, a folder that is not there.
            redis.kill()
            let away = try await desk.verify(
                "left: {store: one, table: rows}, right: \(sides[0])",
                stores: stores, sections: Self.declared)
            #expect(away.code == 3, "\(away)")
            try FileManager.default.moveItem(
                atPath: desk.directory.path("files"), toPath: desk.directory.path("gone"))
            let gone = try await desk.verify(
                "left: {store: one, table: rows}, right: \(sides[1])",
                stores: stores, sections: Self.declared)
            #expect(gone.code == 3, "\(gone)")
        }
    }
}
