import CurlClient
import Foundation
import Ledger
import TradingHTTP

/// Asks a built-in service at its Unix socket.
struct ServiceClient: Sendable {
    let socketPath: String
    let curl: CurlClient

    /// The envelope of every answer, with its data left as it came.
    struct Answer: Sendable {
        let status: Int
        let body: [UInt8]

        var message: String {
            struct Envelope: Decodable { let message: String }
            let decoded = try? JSONDecoder().decode(Envelope.self, from: Data(body))
            return decoded?.message ?? "status \(status)"
        }

        func data<Content: Decodable>(_ type: Content.Type) throws(CommandFailure) -> Content {
            do {
                return try JSONDecoder().decode(EnvelopeData<Content>.self, from: Data(body)).data
            } catch {
                throw CommandFailure(.unknown, "the service's answer cannot be read: \(error)")
            }
        }
    }

    /// A name as one segment of a path, whatever it has in it.
    static func segment(_ name: String) -> String {
        let unreserved = CharacterSet(
            charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")
        return name.addingPercentEncoding(withAllowedCharacters: unreserved) ?? ""
    }

    /// The host's name in the URL: the service's, and what it is asked for. libcurl counts connections
    /// by that name, wherever they lead. So what is slow here, or at another service, cannot keep a
    /// watchdog's question waiting for a connection.
    private func lane(_ path: String) -> String {
        let service = (socketPath as NSString).lastPathComponent.replacing(".sock", with: "")
        let purpose = path.split(separator: "/").first.map { Self.segment(String($0)) } ?? "root"
        return "\(purpose).\(Self.segment(service)).localhost"
    }

    /// Nil when nothing listens there. An error of which `saysNothingOfTheServer` holds is no answer.
    func ask(
        _ method: CurlRequest.Method, _ path: String, body: [UInt8]? = nil,
        timeout: Duration = .seconds(10)
    ) async throws(CurlError) -> Answer? {
        guard FileManager.default.fileExists(atPath: socketPath) else { return nil }
        do {
            let response = try await curl.send(
                CurlRequest(
                    method, "http://\(lane(path))\(path)",
                    headers: ["Content-Type": "application/json"], body: body, timeout: timeout,
                    connectTimeout: .seconds(2), unixSocketPath: socketPath))
            return Answer(status: response.status, body: response.body)
        } catch {
            if error.delivery == .notSent, !error.saysNothingOfTheServer { return nil }
            throw error
        }
    }
}

private struct EnvelopeData<Content: Decodable>: Decodable {
    let data: Content
}
