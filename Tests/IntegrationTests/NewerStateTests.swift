import ExactJSON
import Foundation
import TestSupport
import Testing

extension RealProcesses {
    /// A daemon that finds what a newer one has written.
    @Suite(.serialized) struct NewerStateTests {
        private func files(_ desk: Desk) -> [String: Data] {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: desk.data)) ?? []
            let pairs = names.filter { $0.hasPrefix("control.sqlite") && !$0.hasSuffix("-shm") }
                .map { ($0, FileManager.default.contents(atPath: "\(desk.data)/\($0)") ?? Data()) }
            return Dictionary(pairs, uniquingKeysWith: { first, _ in first })
                .filter { !$0.value.isEmpty }
        }

        @Test(.timeLimit(.minutes(2)))
        func aNewerControlStateIsLeftAloneAndTheDaemonGoesOnWithoutIt() async throws {
            try await Desk.run { desk in
                #expect(try await desk.terminate() == 0)
                let script = """
                    import sqlite3, sys
                    base = sqlite3.connect(sys.argv[1])
                    base.execute("ALTER TABLE services ADD COLUMN later TEXT")
                    base.execute("PRAGMA user_version = 99")
                    base.commit()
                    """
                let made = try await Desk.command(
                    ["python3", "-c", script, desk.data + "/control.sqlite"], in: desk.directory,
                    program: "/usr/bin/env")
                #expect(made.code == 0, "\(made)")
                let before = files(desk)
                #expect(before.count == 1)

                try await desk.start()
                try await desk.waitUntilReady()
                let log = desk.text("run.err")
                #expect(log.contains("services run, but what happens to them is not written down"))
                #expect(
                    log.contains(/control.sqlite has version 99, this program knows \d+: run the/))
                #expect(!log.contains("begun anew"), "it is no damaged file")
                try await desk.kill9("broker")
                try await desk.waitUntilReady()
                let list = try await desk.command("service", "list", "--json")
                #expect(list.code == 0, "\(list)")
                let broker = list.documents.first { $0?["service"]?.text == "broker" }
                #expect(broker??["restarts"]?.integer == 1, "\(list)")
                #expect(try await desk.terminate() == 0)
                #expect(ProcessesOf.directory(desk.directory.path).isEmpty)
                #expect(files(desk) == before, "it was written to")
            }
        }
    }
}
