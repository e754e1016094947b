import CurlClient
import Foundation
import StrictYAML
import Synchronization

/// The texts of which one configuration was made, by their files' absolute paths: `opsd.yaml`, the
/// account files and the calendars. As they were written: what stands as `${env:…}`, `${file:…}` or `enc:v1:…` is not
/// in them.
///
/// The supervisor holds those that it has accepted, and the built-in services ask it for them. A core that has to start again while somebody edits a file starts with what holds, and not with
/// half an edit.
struct ConfigurationTexts: Sendable, Equatable, Codable {
    var files: [String: String] = [:]

    /// Asks the supervisor at its socket, which may be about to come. Throws when it does not answer, or
    /// has the texts of another configuration.
    static func ask(_ socket: String, for configuration: String) async throws -> ConfigurationTexts
    {
        let curl = CurlClient()
        let client = ServiceClient(socketPath: socket, curl: curl)
        let answer: Result<ServiceClient.Answer?, any Error>
        do {
            var found = try await client.ask(.get, "/control/configuration")
            for _ in 0..<patience where found == nil {
                try await Task.sleep(for: .milliseconds(20))
                found = try await client.ask(.get, "/control/configuration")
            }
            answer = .success(found)
        } catch {
            answer = .failure(error)
        }
        await curl.shutdown()
        guard let answer = try answer.get(), answer.status == 200 else {
            throw CommandFailure(.unknown, "the supervisor does not answer")
        }
        let texts = try answer.data(ConfigurationTexts.self)
        guard texts.files[AbsolutePath.of(configuration)] != nil else {
            throw CommandFailure(.badInput, "the supervisor runs another configuration")
        }
        return texts
    }

    /// Times that a supervisor is asked which does not listen yet: for two seconds.
    private static let patience = 100
}

/// Account files may have their keys in them as they stand: nothing prints them.
extension ConfigurationTexts: CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    var description: String { "\(files.count) files" }
    var debugDescription: String { description }
    var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// Gives a configuration's reader the texts, and keeps them.
final class ConfigurationSource: Sendable {
    /// What stands for the files on disk; empty: they are read.
    private let accepted: ConfigurationTexts
    /// A lock, because the reader hands this to closures that may be called from anywhere. It is held
    /// for an insertion.
    private let used = Mutex(ConfigurationTexts())

    init(_ accepted: ConfigurationTexts = ConfigurationTexts()) {
        self.accepted = accepted
    }

    var texts: ConfigurationTexts { used.withLock { $0 } }

    func exists(_ path: String) -> Bool {
        accepted.files[path] != nil || FileManager.default.fileExists(atPath: path)
    }

    /// - Parameter name: what findings print.
    func document(_ path: String, name: String) throws(StrictYAMLError) -> YAMLDocument {
        try YAMLDocument(text: try text(path, name: name), file: name)
    }

    func text(_ path: String, name: String) throws(StrictYAMLError) -> String {
        let text: String
        if let known = accepted.files[path] {
            text = known
        } else {
            text = try YAMLDocument.text(of: path, name: name)
        }
        used.withLock { $0.files[path] = text }
        return text
    }
}
