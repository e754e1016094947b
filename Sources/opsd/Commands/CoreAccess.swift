import CurlClient
import Foundation
import HTTPTypes
import Ledger
import Trading
import TradingHTTP

/// How a command reaches the core: at its socket when it runs; otherwise the command takes the
/// journal's lock, does the work itself, and releases it.
struct CoreAccess {
    let configuration: Configuration
    private let curl = CurlClient()
    private let client: ServiceClient

    init(_ configuration: Configuration) {
        self.configuration = configuration
        client = ServiceClient(
            socketPath: DataLayout(configuration).socket(of: "core"), curl: curl)
    }

    /// The running core's answer; nil when no core is running.
    func ask(
        _ method: CurlRequest.Method, _ path: String, _ act: CoreControl.Act? = nil
    ) async throws(CommandFailure) -> ServiceClient.Answer? {
        try await ask(method, path, encoding: act, timeout: .seconds(10))
    }

    func ask(
        _ method: CurlRequest.Method, _ path: String, encoding content: (some Encodable)?,
        timeout: Duration
    ) async throws(CommandFailure) -> ServiceClient.Answer? {
        let answer: ServiceClient.Answer?
        do {
            let body = try content.map { try Array(JSONEncoder().encode($0)) }
            answer = try await client.ask(method, path, body: body, timeout: timeout)
        } catch {
            throw CommandFailure(.unknown, "the core did not answer: \(error)")
        }
        guard let answer else { return nil }
        switch answer.status {
        case 200..<300: return answer
        case 404, 400: throw CommandFailure(.badInput, answer.message)
        case 409, 413, 422: throw CommandFailure(.refused, answer.message)
        default: throw CommandFailure(.unknown, answer.message)
        }
    }

    /// Opens the core's state without a core. Refused when another process holds the journal.
    /// - Parameter begins: whether a journal may be begun where there is none. What only looks, or
    ///   needs something that is there, must not leave anything behind.
    func withStoppedCore<Result: Sendable>(
        begins: Bool = false, _ body: (TradingCore) async throws -> Result
    ) async throws -> Result {
        let layout = DataLayout(configuration)
        guard try begins || layout.hasJournal() else {
            throw CommandFailure(
                .badInput,
                "no core is running, and there is no journal in \(layout.journal); start the daemon "
                    + "with 'opsd run', or name the configuration of another data_dir with -c FILE")
        }
        try layout.prepare()
        let lock = try layout.hold("core")
        defer { withExtendedLifetime(lock) {} }
        let core = try await CoreAssembly(configuration).start()
        do {
            let result = try await body(core)
            await core.engine.stop()
            return result
        } catch {
            await core.engine.stop()
            throw Self.failure(error)
        }
    }

    static func failure(_ error: any Error) -> CommandFailure {
        switch error {
        case let error as CommandFailure: error
        case let error as APIError:
            CommandFailure(error.status == .notFound ? .badInput : .refused, error.message)
        case EngineError.refused(.unknownOrder(let id)):
            CommandFailure(.badInput, "there is no order '\(id)'")
        case EngineError.refused(.unknownAccount(let id)):
            CommandFailure(.badInput, "there is no trading account '\(id)'")
        case EngineError.refused(let refusal): CommandFailure(.refused, "\(refusal)")
        default: CommandFailure(.unknown, "\(error)")
        }
    }
}
