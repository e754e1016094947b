import CurlClient
import Ledger
import TestSupport
import Testing
import Trading

@testable import AlpacaBroker

/// The client beside a server that answers as a test says.
func withAlpaca(
    _ script: @escaping @Sendable (ScriptedServer.Request) -> ScriptedServer.Action,
    timeout: Duration = .seconds(20),
    now: @escaping @Sendable () -> Timestamp = Timestamp.now,
    _ body: (AlpacaBroker, ScriptedServer) async throws -> Void
) async throws {
    let server = try ScriptedServer(script)
    let client = CurlClient()
    var configuration = Harness.alpaca(server.url)
    configuration.timeout = timeout
    do {
        try await body(
            AlpacaBroker(configuration: configuration, client: client, now: now), server)
    } catch {
        Issue.record(error)
    }
    server.stop()
    await client.shutdown()
}

func submitFailure(_ broker: AlpacaBroker) async -> BrokerError? {
    await failure { () async throws(BrokerError) in
        try await broker.submit(buy(), clientOrderID: "c", account: "main")
    }
}

func isUnknown(_ error: BrokerError?) -> Bool {
    if case .unknown = error { return true }
    return false
}
