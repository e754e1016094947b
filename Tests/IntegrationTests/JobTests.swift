import CurlClient
import ExactJSON
import Foundation
import TestSupport
import Testing

extension RealProcesses {
    /// Jobs of a real daemon, as the configuration has them.
    @Suite(.serialized) struct JobTests {
        /// `sections` of a desk: jobs that write into the data directory, which is where they run.
        private static func jobs(_ lines: String...) -> String {
            "jobs:\n" + lines.map { "  - \($0)\n" }.joined()
        }

        private func lines(_ desk: Desk, _ name: String) -> [String] {
            desk.text("data/\(name)").split(separator: "\n").map(String.init)
        }

        private func history(_ desk: Desk, _ job: String) async throws -> [JSONValue] {
            let outcome = try await desk.command("job", "history", job, "--json")
            #expect(outcome.code == 0, "\(outcome)")
            return outcome.documents.compactMap(\.self)
        }

        @Test(.timeLimit(.minutes(5)))
        func jobsRunAreSeenAndAreStartedByHand() async throws {
            let settings = DeskSettings(
                sections: Self.jobs(
                    "{name: tick, command: [sh, -c, \"echo tick >> ticks; echo said\"], every: 1s}",
                    "{name: journal, command: [opsd, journal, check], schedule: \"0 3 * * *\"}",
                    "{name: fails, command: [sh, -c, \"echo why >&2; exit 7\"], schedule: \"@yearly\"}",
                    "{name: held, command: [sh, -c, \"touch held; sleep 60\"], schedule: \"@yearly\"}"
                ))
            try await Desk.run(settings) { desk in
                try await eventually("it has run three times") { lines(desk, "ticks").count >= 3 }
                let list = try await desk.command("job", "list", "--json")
                let jobs = list.documents.compactMap(\.self)
                #expect(jobs.map { $0["name"]?.text } == ["tick", "journal", "fails", "held"])
                #expect(jobs[0]["last_outcome"]?.text == "succeeded")
                #expect(jobs[1]["next"]?.text?.hasSuffix("T03:00:00Z") == true, "\(jobs[1])")
                let table = try await desk.command("job", "list")
                #expect(table.output.contains("tick") && table.output.contains("@yearly; GMT"))

                // The very command, with the same file.
                let check = try await desk.command(
                    "job", "run", "journal", "--operator", "lin", "--json")
                #expect(check.code == 0, "\(check)")
                #expect(check.documents.last??["outcome"]?.text == "succeeded")
                #expect(check.documents.last??["output"]?.text?.isEmpty == false)
                let fails = try await desk.command(
                    "job", "run", "fails", "--operator", "lin", "--reason", "a test")
                #expect(fails.code == 7 && fails.output.contains("why"), "\(fails)")
                let runs = try await history(desk, "fails")
                #expect(runs.count == 1 && runs[0]["trigger"]?.text == "manual")
                #expect(runs[0]["exit_code"]?.integer == 7 && runs[0]["outcome"]?.text == "failed")
                let log = try await desk.command("job", "logs", "fails", "-n", "1")
                #expect(log.output == "why\n")
                let status = try await desk.command("status")
                #expect(status.code == 1 && status.output.contains("job fails: exited with code 7"))
                #expect(status.output.contains("type: opsd job history fails"))

                let held = try await desk.command(
                    "job", "run", "held", "--operator", "lin", "--no-wait")
                #expect(held.code == 0, "\(held)")
                let twice = try await desk.command("job", "run", "held", "--operator", "lin")
                #expect(twice.code == 4 && twice.errors.contains("held runs since"), "\(twice)")
                let nobody = try await desk.command("job", "run", "tock", "--operator", "lin")
                #expect(nobody.code == 2 && nobody.errors.contains("write tick"), "\(nobody)")

                let page = try await desk.get("\(desk.opsURL)/metrics").text
                #expect(page.contains("opsd_job_status{job=\"fails\",status=\"failed\"} 1\n"))
                #expect(page.contains("opsd_job_failures_total{job=\"fails\"} 1\n"))
                #expect(page.contains("opsd_job_last_success_timestamp_seconds{job=\"tick\"} 1"))
                #expect(page.contains("opsd_job_duration_seconds_count{job=\"tick\"}"))

                // A graceful stop leaves nothing behind, and what was written down can be read.
                #expect(try await desk.terminate() == 0)
                #expect(ProcessesOf.directory(desk.directory.path).isEmpty)
                let after = try await desk.command("job", "history", "held", "--json")
                #expect(after.code == 0 && after.errors.contains("the daemon does not run"))
                #expect(after.documents.first??["outcome"]?.text == "interrupted", "\(after)")
                let down = try await desk.command("job", "list", "--json")
                #expect(down.code == 0 && down.documents.count == 4, "\(down)")
                let refused = try await desk.command("job", "run", "tick", "--operator", "lin")
                #expect(refused.code == 3 && refused.errors.contains("opsd run"), "\(refused)")
            }
        }

        /// What the first run does until `go` is there; further ones end at once.
        private static let orphan =
            "{name: orphan, command: [sh, -c, \"echo start >> runs; [ $(wc -l < runs) = 1 ] && "
            + "while [ ! -e go ]; do sleep 0.02; done; echo end >> runs\"], every: 1s}"

        @Test(.timeLimit(.minutes(5)))
        func aKilledDaemonsRunIsAdoptedNeverDoubledAndMadeUpFor() async throws {
            try await Desk.run(DeskSettings(sections: Self.jobs(Self.orphan))) { desk in
                try await eventually("it runs") { !lines(desk, "runs").isEmpty }
                try await desk.killDaemon()
                let down = try await history(desk, "orphan")
                #expect(down.count == 1 && down[0]["outcome"]?.text == "running")
                try await desk.start()
                try await desk.waitUntilReady()
                try await eventually("it is adopted, and further times pass") {
                    try await history(desk, "orphan").first?["skipped"]?.integer ?? 0 >= 2
                }
                #expect(lines(desk, "runs") == ["start"])
                #expect(desk.text("run.err").contains("is adopted"))
                let go = desk.directory.path("data/go")
                #expect(FileManager.default.createFile(atPath: go, contents: nil))
                try await eventually("it is run again") { lines(desk, "runs").count >= 4 }
                let runs = try await history(desk, "orphan")
                #expect(runs.last?["outcome"]?.text == "unknown", "\(runs)")
                #expect(runs.dropLast().last?["outcome"]?.text == "succeeded", "\(runs)")
                for (index, line) in lines(desk, "runs").enumerated() {
                    #expect(line == (index % 2 == 0 ? "start" : "end"))
                }
            }
        }

        @Test(.timeLimit(.minutes(5)))
        func aRunThatDiesWithTheDaemonIsUnknownAndMadeUpFor() async throws {
            try await Desk.run(DeskSettings(sections: Self.jobs(Self.orphan))) { desk in
                try await eventually("it runs") { !lines(desk, "runs").isEmpty }
                desk.killEverything()
                let down = try await history(desk, "orphan")
                #expect(down.first?["outcome"]?.text == "unknown", "\(down)")
                try await desk.start()
                try await desk.waitUntilReady()
                try await eventually("it is run again") { lines(desk, "runs").contains("end") }
                let runs = try await history(desk, "orphan")
                #expect(runs.last?["outcome"]?.text == "unknown")
                let repeated = try #require(runs.dropLast().last)
                #expect(repeated["outcome"]?.text == "succeeded")
            }
        }

        @Test(.timeLimit(.minutes(5)))
        func jobsFollowTheFile() async throws {
            let settings = DeskSettings(
                sections: Self.jobs(
                    "{name: goes, command: [sh, -c, \"touch goes; exec sleep 4322\"], every: 1s}",
                    "{name: stays, command: [sh, -c, \"touch stays; exec sleep 4323\"], every: 1s}")
            )
            try await Desk.run(settings) { desk in
                let folder = desk.directory.path("data")
                try await eventually("both run") {
                    FileManager.default.fileExists(atPath: folder + "/goes")
                        && FileManager.default.fileExists(atPath: folder + "/stays")
                }
                func pid(_ job: String) async throws -> Int64? {
                    try await history(desk, job).first?["pid"]?.integer.map(Int64.init)
                }
                let (goes, stays) = (try await pid("goes"), try await pid("stays"))
                let file = desk.configurationFile
                let text = try String(contentsOfFile: file, encoding: .utf8)
                let kept = text.split(separator: "\n", omittingEmptySubsequences: false)
                    .filter { !$0.contains("name: goes") }.joined(separator: "\n")
                    .replacing("4323\"], every: 1s", with: "4323\"], every: 2s")
                let new = "  - {name: comes, command: [touch, came], every: 1s}\n"
                try (kept + new).write(toFile: file, atomically: true, encoding: .utf8)
                kill(try #require(desk.daemonPID), SIGHUP)
                try await eventually("the new one runs") {
                    FileManager.default.fileExists(atPath: folder + "/came")
                }
                let gone = try #require(goes.flatMap(pid_t.init(exactly:)))
                try await eventually("what is gone is stopped") {
                    kill(gone, 0) != 0 || SupervisorCrashTests.isZombie(gone)
                }
                #expect(try await pid("stays") == stays)
                let unknown = try await desk.command("job", "history", "goes")
                #expect(unknown.code == 2, "\(unknown)")
                // A broken file changes nothing.
                try (kept + new + "  - {name: bad, command: [x], schedule: \"0 25 * * *\"}\n")
                    .write(
                        toFile: file, atomically: true, encoding: .utf8)
                kill(try #require(desk.daemonPID), SIGHUP)
                try await eventually("it is refused") {
                    desk.text("run.err").contains("hour: there is no '25'")
                }
                try (kept + new).write(toFile: file, atomically: true, encoding: .utf8)
                let list = try await desk.command("job", "list", "--json")
                #expect(list.documents.compactMap { $0?["name"]?.text } == ["stays", "comes"])
                #expect(try await pid("stays") == stays)
            }
        }

        @Test(
            .timeLimit(.minutes(5)),
            .enabled(if: SmallDisk.canBeMade, "mounting a small disk takes root"))
        func aFullDiskNeitherStopsTheDaemonNorDoublesAJob() async throws {
            let settings = DeskSettings(
                sections: Self.jobs(
                    "{name: loud, command: [sh, -c, \"seq 1 200000; exit 0\"], every: 1s}"),
                diskMegabytes: 60)
            try await Desk.run(settings) { desk in
                let disk = try #require(desk.disk)
                try await eventually("it has run") {
                    try await history(desk, "loud").contains { $0["outcome"]?.text == "succeeded" }
                }
                try disk.fill()
                try await eventually("nothing is written down any more") {
                    desk.text("run.err").contains("control.sqlite is not written")
                }
                // Times come and go; the daemon lives.
                try await Task.sleep(for: .seconds(3))
                #expect(try await desk.get("\(desk.opsURL)/healthz").status == 200)
                try disk.makeRoom()
                try await eventually("it is written again") {
                    let runs = try await history(desk, "loud")
                    return desk.text("run.err").contains("control.sqlite is written again")
                        && runs.first?["output"]?.text?.hasSuffix("200000") == true
                }
            }
        }
    }
}
