import Foundation
import StrictYAML
import Synchronization

/// The texts of which one configuration was made, by their files' absolute paths: `opsd.yaml` and the
/// account files. As they were written: what stands as `${env:…}`, `${file:…}` or `enc:v1:…` is not
/// in them.
///
/// The supervisor writes down those that it has accepted, and the built-in services read them there.
/// A core that has to start again while somebody edits a file starts with what holds, and not with
/// half an edit.
struct ConfigurationTexts: Sendable, Equatable, Codable {
    var files: [String: String] = [:]

    /// Throws when the file cannot be read or does not hold the texts of that configuration.
    static func read(_ path: String, for configuration: String) throws -> ConfigurationTexts {
        let data = try Data(contentsOf: URL(fileURLWithPath: path))
        let texts = try JSONDecoder().decode(ConfigurationTexts.self, from: data)
        guard texts.files[AbsolutePath.of(configuration)] != nil else {
            throw CommandFailure(.badInput, "\(path) does not hold \(configuration)")
        }
        return texts
    }

    /// Replaces the file in one step. Where that fails there is none afterwards: an older one would be
    /// a configuration that no longer holds.
    func write(to path: String) throws {
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            let text = String(decoding: try encoder.encode(self), as: UTF8.self)
            try PrivateFile.replace(path, text)
        } catch {
            unlink(path)
            throw error
        }
    }
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
        let text: String
        if let known = accepted.files[path] {
            text = known
        } else {
            text = try YAMLDocument.text(of: path, name: name)
        }
        used.withLock { $0.files[path] = text }
        return try YAMLDocument(text: text, file: name)
    }
}
