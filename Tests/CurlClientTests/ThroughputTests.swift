import CurlClient
import Foundation
import Hummingbird
import Logging
import TestSupport
import Testing

@Suite struct ThroughputTests {
    /// Correctness under load; the figure is printed for orientation, not asserted, because the
    /// machine is shared.
    @Test func manyRequestsAtOnceOverAUnixSocketAndTCP() async throws {
        let directory = try TemporaryDirectory()
        let socket = directory.path("http.sock")
        let port = try freePort()
        let router = Router()
        router.get("/echo/:number") { _, context in try context.parameters.require("number") }
        var logger = Logger(label: "test")
        logger.logLevel = .error
        let quiet = logger
        let responder = router.buildResponder()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for address in [BindAddress.hostname(port: port), .unixDomainSocket(path: socket)] {
                group.addTask {
                    let server = Application(
                        responder: responder, configuration: .init(address: address), logger: quiet)
                    try await server.run()
                }
            }
            let client = CurlClient()
            try await untilReady(client, port: port, socket: nil)
            try await untilReady(client, port: port, socket: socket)
            try await measure(client, port: port, socket: nil, name: "tcp")
            try await measure(client, port: port, socket: socket, name: "unix")
            await client.shutdown()
            group.cancelAll()
            while await group.nextResult() != nil {}
        }
    }

    private func untilReady(_ client: CurlClient, port: Int, socket: String?) async throws {
        let url = "http://127.0.0.1:\(port)/echo/0"
        for _ in 0..<500 {
            if (try? await client.send(CurlRequest(.get, url, unixSocketPath: socket))) != nil {
                return
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        Issue.record("the server did not start")
    }

    private func measure(
        _ client: CurlClient, port: Int, socket: String?, name: String
    ) async throws {
        let workers = 32
        let each = 200
        let elapsed = try await ContinuousClock().measure {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<workers {
                    group.addTask {
                        for index in 0..<each {
                            let number = worker * each + index
                            let response = try await client.send(
                                CurlRequest(
                                    .get, "http://127.0.0.1:\(port)/echo/\(number)",
                                    unixSocketPath: socket))
                            #expect(response.text == String(number))
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
        print("CurlClient \(name): \(workers * each) requests in \(elapsed)")
    }
}
