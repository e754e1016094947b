import Foundation
import TestSupport
import Testing

@testable import Control

@Suite struct EnvironmentTests {
    /// In a process of its own, because a variable holds for all of it.
    @Test func whatSystemdTellsTheDaemonIsNotPassedOn() async {
        await #expect(processExitsWith: .success) {
            for name in ProcessTag.ofTheSupervisorAlone { setenv(name, "1", 1) }
            setenv("OPSD_KEPT", "kept", 1)
            let words = [
                "sh", "-c", "env | grep -cE '^(NOTIFY|WATCHDOG|LISTEN)_'; echo $OPSD_KEPT",
            ]
            let probe = CommandProbe(
                words: words, check: "c", directory: nil, timeout: .seconds(20))
            guard case .success(let said) = probe.run(), said.hasSuffix(": 0") else { exit(1) }
            let shop = try Workshop()
            var service = try shop.script("s", "", restart: RestartPolicy(mode: .never))
            (service.executable, service.arguments) = (words[0], Array(words.dropFirst()))
            let supervisor = try shop.supervisor([service])
            await supervisor.start()
            try await shop.log.wait(for: "s") { $0 == .stopped }
            exit(try shop.text("s.log") == "0\nkept\n" ? 0 : 2)
        }
    }
}
