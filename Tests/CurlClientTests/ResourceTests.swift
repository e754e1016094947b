import CurlClient
import Foundation
import TestSupport
import Testing

@Suite struct ResourceTests {
    /// In a process of its own, because the limit holds for all of it.
    @Test func aLackOfDescriptorsSaysNothingOfTheServer() async {
        await #expect(processExitsWith: .success) {
            let (known, other) = (
                try ScriptedServer { _ in .answer(status: 200) },
                try ScriptedServer { _ in .answer(status: 200) }
            )
            let client = CurlClient()
            let answer = try await client.send(CurlRequest(.get, known.url))
            #expect(answer.status == 200)
            var limit = rlimit()
            let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
            getrlimit(resource, &limit)
            limit.rlim_cur = 3
            setrlimit(resource, &limit)
            do throws(CurlError) {
                _ = try await client.send(CurlRequest(.get, other.url))
                exit(1)
            } catch {
                let isRight =
                    error.reason == .outOfResources && error.delivery == .notSent
                    && error.saysNothingOfTheServer && error.detail.contains("open files")
                exit(isRight ? 0 : 2)
            }
        }
    }
}
