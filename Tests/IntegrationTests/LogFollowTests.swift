import ExactJSON
import Foundation
import TestSupport
import Testing

extension RealProcesses {
    /// `opsd service logs --follow` while the daemon cuts the log.
    @Suite(.serialized) struct LogFollowTests {
        @Test(.timeLimit(.minutes(2)))
        func followingShowsEachLineOnceAcrossRotations() async throws {
            let last = 200_000
            let script =
                "n=0; while [ $n -lt 40 ]; do seq $((n * 5000 + 1)) $(((n + 1) * 5000)); "
                + "n=$((n + 1)); sleep 0.1; done; exec sleep 4321"
            let talker =
                "talker: {command: [sh, -c, \"\(script)\"], log: {rotate_at: 64KB, keep: 100}}"
            try await Desk.run(DeskSettings(services: [talker]), starts: false) { desk in
                try await desk.start()
                try await eventually("it has a log") {
                    FileManager.default.fileExists(atPath: desk.data + "/log/talker.log")
                }
                let follow = try ChildProcess.start(
                    Desk.program,
                    [
                        "service", "logs", "talker", "-n", "1000000", "--follow", "-c",
                        desk.configurationFile,
                    ], in: desk.directory.path, output: desk.directory.path("follow.out"),
                    errors: desk.directory.path("follow.err"))
                defer { follow.endGroup() }
                try await eventually("the last line is shown", within: .seconds(60)) {
                    desk.text("follow.out").hasSuffix("\n\(last)\n")
                }
                let shown = desk.text("follow.out").split(separator: "\n").compactMap { Int($0) }
                #expect(shown == Array(1...last))
                let names = try FileManager.default.contentsOfDirectory(atPath: desk.data + "/log")
                let parts = names.count { $0.hasPrefix("talker.log.") }
                print("followed \(shown.count) lines across \(parts) cuts")
                #expect(parts >= 3)
            }
        }
    }
}
