import Foundation
import StrictYAML
import TestSupport

@testable import opsd

/// A folder with the embedded default's accounts and keys under `data`, beside which a test writes a
/// configuration of its own.
struct ConfigurationFolder {
    let directory: TemporaryDirectory
    static let variables = ["PORT": "9999", "TOKEN": "tell-nobody", "HOME": "/srv/desk"]

    init() throws {
        directory = try TemporaryDirectory()
        let path = try EmbeddedDefault.write(in: directory.path("data"), loginName: "lin")
        try FileManager.default.moveItem(atPath: path, toPath: directory.path("default.yaml"))
    }

    func path(_ name: String) -> String { directory.path(name) }

    func write(_ name: String, _ text: String, mode: Int = 0o600) throws {
        try text.write(toFile: path(name), atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path(name))
    }

    func load(_ text: String) throws -> Configuration {
        try write("opsd.yaml", text)
        return try load()
    }

    /// With `a.yaml` of so many accounts beside it.
    func load(_ text: String, accounts count: Int) throws -> Configuration {
        let items = (1...count).map {
            "  - {account_id: A\($0), account_type: data, "
                + "alpaca_credentials: {api_key: k\($0), secret_key: s}}\n"
        }
        try write("a.yaml", "accounts:\n" + items.joined())
        return try load(text)
    }

    func load() throws -> Configuration {
        try Configuration.load(
            path("opsd.yaml"), environment: { Self.variables[$0] }, loginName: "lin")
    }

    /// What is said of a refused configuration, paths relative to this folder.
    func refusal(_ text: String) -> String {
        do {
            _ = try load(text)
            return "taken"
        } catch {
            return shown("\(error)")
        }
    }

    /// What is said of one that is taken.
    func warnings(_ text: String) throws -> String {
        shown(try load(text).warnings.map(\.description).joined(separator: "\n"))
    }

    private func shown(_ text: String) -> String { text.replacing(directory.path + "/", with: "") }

    func reload(_ running: Configuration, _ text: String) throws -> ReloadOutcome {
        try write("opsd.yaml", text)
        return ReloadOutcome.compare(
            running, environment: { Self.variables[$0] }, loginName: "lin")
    }
}
