import CurlClient
import ExactJSON
import Foundation
import TestSupport
import Testing

extension RealProcesses {
    /// Another program's files, moved to Redis and PostgreSQL.
    @Suite(
        .serialized, .enabled(if: StoreDesk.isWanted, "redis-server or PostgreSQL is not installed")
    )
    struct MigrationTests {
        @Test(.timeLimit(.minutes(5)))
        func tenThousandFilesArriveWhateverInterruptsThem() async throws {
            try await MigrationDesk.run(accounts: 200, days: 48, deals: 1) { migration in
                let desk = migration.desk
                let before = try migration.content()
                #expect(before.count == 10_000)
                // Nothing of it was touched, and everyone is told what to type.
                try await eventually("the files are found to be another program's") {
                    try await migration.unmigrated() == ["deal_hist", "held_days", "max_prices"]
                }
                let status = try await desk.command("status")
                #expect(status.code == 1, "\(status)")
                #expect(
                    status.output.contains(
                        "opsd migrate --dataset held_days --from files --to hot"), "\(status)")
                #expect(try migration.content() == before)

                let words = ["--dataset", "deal_hist", "--from", "files", "--to", "record"]
                // Ctrl-C.
                let first = try migration.start(words, as: "first")
                try await migration.untilRead(1_000)
                let second = try await migration.migrate(words)
                #expect(second.code == 4, "\(second)")
                first.signal(SIGINT)
                #expect(try await first.exit(within: .seconds(5)) == 130)
                #expect(desk.text("first.err").contains("carries on"))
                // Another one is refused until this one is over.
                let other = try await migration.migrate(
                    "--dataset", "deal_hist", "--from", "files", "--to", "hot")
                #expect(other.code == 4 && other.errors.contains("--abandon"), "\(other)")
                // kill -9 of the command.
                let read = migration.state()?["counts"]?["read"]?.integer ?? 0
                let third = try migration.start(words, as: "third")
                try await migration.untilRead(max(3_000, read + 1_000))
                third.signal(SIGKILL)
                _ = try await third.exit(within: .seconds(5))
                // kill -9 of the core: the command waits for the next one.
                let fourth = try migration.start(words, as: "fourth")
                try await migration.untilRead(5_000)
                try await desk.kill9("core")
                let code = try await fourth.exit(within: .seconds(120))
                #expect(code == 0, "\(desk.text("fourth.out")) \(desk.text("fourth.err"))")
                let report = desk.text("fourth.out")
                #expect(report.contains("migrated deal_hist from files to record"), "\(report)")
                #expect(report.contains("9600 rows of the journal with record"), "\(report)")

                let held = try await migration.migrate(
                    "--dataset", "held_days", "--from", "files", "--to", "hot", "--json")
                #expect(held.code == 0, "\(held)")
                #expect(held.documents.last??["rows_created"]?.integer == 2_000, "\(held)")
                // What only the target had is saved before it goes.
                let place = try #require(held.documents.last??["folder"]?.text)
                let gone = try String(contentsOfFile: place + "/overwritten.jsonl", encoding: .utf8)
                #expect(gone.contains("\"OTHER\",\"days\":5"), "\(gone)")
                let prices = try await migration.migrate(
                    "--dataset", "max_prices", "--from", "files", "--to", "hot")
                #expect(prices.code == 0, "\(prices)")

                #expect(
                    try await migration.seenByOthers() == [
                        "held 2000 redis True postgres True",
                        "deals 9600 redis True postgres True",
                    ])
                #expect(try migration.content() == before, "byte for byte")
                #expect(try await migration.unmigrated() == [])
                // A second run finds everything as it should be.
                let again = try await migration.migrate(words, "--json")
                #expect(again.code == 0, "\(again)")
                #expect(again.documents.last??["rows_journaled"]?.integer == 0, "\(again)")
                #expect(again.documents.last??["rows_equal"]?.integer == 9_600, "\(again)")
                #expect(try await desk.command("journal", "check").code == 0)
            }
        }

        @Test(.timeLimit(.minutes(3)))
        func whatCannotBeMigratedTakesEverythingBack() async throws {
            try await MigrationDesk.run(accounts: 8, days: 4, deals: 1) { migration in
                let desk = migration.desk
                let token = try await desk.token("TRADE_001", role: "admin")
                let words = ["--dataset", "held_days", "--from", "files", "--to", "hot"]
                // A row that a program has written over HTTP, and the last file has a code that no key takes.
                let put = try await desk.api(
                    .put, "/data/held_days/TRADE_001/600000.SH", token, body: #"{"days":77}"#)
                #expect(put.status == 201, "\(put.text)")
                let folder = migration.files + "/TRADE_001"
                try FileManager.default.createDirectory(
                    atPath: folder, withIntermediateDirectories: false)
                let long = String(repeating: "9", count: 65)
                try "{\"600000.SH\": 1, \"\(long)\": 2}".write(
                    toFile: folder + "/held_days.json", atomically: false, encoding: .utf8)
                let before = try migration.content()
                let dry = try await migration.migrate(
                    words, "--dry-run",
                    "--json")
                #expect(dry.code == 0, "\(dry)")
                #expect(dry.documents.last??["rows_replaced"]?.integer == 1, "\(dry)")
                #expect(migration.state() == nil)
                let failed = try await migration.migrate(words)
                #expect(failed.code == 4, "\(failed)")
                #expect(failed.errors.contains("1 to 64 bytes"), "\(failed)")
                let rows = try await desk.all("/data/held_days", token)
                #expect(rows.compactMap { $0["days"]?.integer } == [77])
                #expect(try migration.content() == before)
                #expect(migration.state()?["phase"]?.text == "rolled_back")
                // A file that cannot be read is left as it is, too.
                try "{\"600000.SH\": 1".write(
                    toFile: folder + "/held_days.json", atomically: false, encoding: .utf8)
                let damaged = try await migration.migrate(words)
                #expect(damaged.code == 4, "\(damaged)")
                #expect(damaged.errors.contains("TRADE_001/held_days.json"), "\(damaged)")
                // Mended it goes, and what was written over HTTP is saved.
                try "{\"600000.SH\": 1}".write(
                    toFile: folder + "/held_days.json", atomically: false, encoding: .utf8)
                let done = try await migration.migrate(words, "--json")
                #expect(done.code == 0, "\(done)")
                let place = try #require(done.documents.last??["folder"]?.text)
                let saved = try String(contentsOfFile: place + "/before.jsonl", encoding: .utf8)
                #expect(saved.contains("\"days\":77"), "\(saved.prefix(300))")
                let mode =
                    try FileManager.default.attributesOfItem(
                        atPath: place + "/before.jsonl")[.posixPermissions] as? Int
                #expect(mode == 0o600)
            }
        }

        @Test(.timeLimit(.minutes(3)))
        func datesChooseAndTheRestStaysWithItsProgram() async throws {
            try await MigrationDesk.run(accounts: 5, days: 20, deals: 3) { migration in
                let before = try migration.content()
                // Taken over where it lies: what is of other days is the other program's still.
                let inPlace = try await migration.migrate(
                    "--dataset", "deal_hist", "--from", "files", "--to", "files", "--until",
                    "2026-01-01", "--json")
                #expect(inPlace.code == 1, "\(inPlace)")
                #expect(inPlace.documents.last??["rows_created"]?.integer == 5 * 3, "\(inPlace)")
                #expect(inPlace.documents.last??["source_left"]?.bool == true)
                #expect(try migration.content() == before)
                let some = try await migration.migrate(
                    "--dataset", "deal_hist", "--from", "files", "--to", "record", "--since",
                    "2026-01-03", "--until", "20260107", "--json")
                #expect(some.code == 0, "\(some)")
                #expect(some.documents.last??["rows_created"]?.integer == 5 * 5 * 3, "\(some)")
                #expect(some.documents.last??["source_left"]?.bool == true)
                #expect(try await migration.unmigrated().contains("deal_hist"))
                #expect(try migration.content() == before)
                // By another field, the rest, and then all is opsd's.
                for dates in [["--until", "20260102"], ["--since", "2026-01-08"]] {
                    let rest = try await migration.migrate(
                        "--dataset", "deal_hist", "--from", "files", "--to", "record", dates[0],
                        dates[1], "--date-field", "day")
                    #expect(rest.code == 0, "\(rest)")
                }
                #expect(try await !migration.unmigrated().contains("deal_hist"))
                #expect(try migration.content() == before)
                #expect(
                    try await migration.seenByOthers().last
                        == "deals 300 redis True postgres True")
                // The trading core's own datasets are copied anyway; wrong input is said at once.
                for (words, problem) in [
                    (["--dataset", "held", "--from", "files", "--to", "hot"], "no dataset 'held'"),
                    (
                        ["--dataset", "held_days", "--from", "fils", "--to", "hot"],
                        "no store 'fils'"
                    ),
                    (["--dataset", "held_days", "--from", "files"], "--to STORE"),
                    (
                        [
                            "--dataset", "held_days", "--from", "files", "--to", "hot", "--since",
                            "2026-01-01",
                        ], "no field of type timestamp"
                    ),
                    (
                        [
                            "--dataset", "deal_hist", "--from", "files", "--to", "hot", "--since",
                            "2026-02-30",
                        ], "is no day"
                    ),
                    (["--dataset", "held_days", "--abandon"], "no migration of held_days"),
                ] {
                    let outcome = try await Desk.command(
                        migration.arguments(words), in: migration.desk.directory)
                    #expect(outcome.code == 2, "\(words) \(outcome)")
                    #expect(outcome.errors.contains(problem), "\(outcome.errors)")
                }
                _ = try await migration.desk.terminate()
                let down = try await migration.migrate(
                    "--dataset", "held_days", "--from", "files", "--to", "hot")
                #expect(down.code == 3 && down.errors.contains("opsd run"), "\(down)")
            }
        }
    }
}
