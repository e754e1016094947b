import Foundation
import TestSupport
import Testing
import Trading

@testable import StrictYAML
@testable import opsd

/// The schema, the example and the summary, each held against what the reader asks for.
@Suite struct ConfigurationSchemaTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
    private static let example = root.appending(path: "examples/full").path
    private static let accountFiles = ["master", "trading", "data", "backup", "mixed"].map {
        "accounts/\($0)_accounts.yaml"
    }

    private func document(_ name: String) throws -> YAMLDocument {
        try YAMLDocument(path: Self.example + "/" + name, name: name)
    }

    // MARK: The schema

    /// Key paths that a JSON Schema allows, in the form of `YAMLShape.paths`.
    private func paths(_ schema: Any, under path: String = "") -> Set<String> {
        guard let schema = schema as? [String: Any] else { return [] }
        var result: Set<String> = []
        for (key, value) in schema["properties"] as? [String: Any] ?? [:] {
            let path = path.isEmpty ? key : path + "." + key
            result.insert(path)
            result.formUnion(paths(value, under: path))
        }
        if let items = schema["items"] { result.formUnion(paths(items, under: path + "[]")) }
        if let values = schema["additionalProperties"], !(values is Bool) {
            result.formUnion(paths(values, under: path + ".*"))
        }
        for form in schema["anyOf"] as? [Any] ?? [] { result.formUnion(paths(form, under: path)) }
        return result
    }

    @Test func theSchemaHasEveryKeyThatTheReaderKnowsAndNoOther() throws {
        for schema in [ConfigurationSchema.configuration, .accounts] {
            let parsed = try JSONSerialization.jsonObject(with: Data(schema.text.utf8))
            #expect(paths(parsed) == Set(schema.shape.paths))
        }
        // What the reading of a file knows is what its shape has: the reader refuses all else and
        // names the keys that it asked for.
        #expect(ConfigurationReader.shape.paths.count > 110)
        #expect(AccountDirectory.shape.paths.count > 90)
    }

    /// For each mapping of the shape: with one key more, the reader names every key of it.
    @Test func theReaderRefusesWhatTheSchemaDoesNotHave() throws {
        let folder = try ConfigurationFolder()
        for key in ConfigurationReader.shape.keys {
            guard key.shape.kinds.contains(where: { if case .mapping = $0 { true } else { false } })
            else { continue }
            let refusal = folder.refusal("\(key.name): {zzzzzzzzzzzzzzzz: 1}")
            for name in key.shape.keys.map(\.name) {
                #expect(refusal.contains(name), "\(key.name).\(name): \(refusal)")
            }
        }
    }

    @Test func requiredKeysAndAlternativesAreInTheSchema() throws {
        let services = try #require(ConfigurationReader.shape.keys.first { $0.name == "services" })
        guard case .names(let service)? = services.shape.kinds.first else {
            Issue.record("services are not names")
            return
        }
        #expect(service.alternatives == [["builtin", "command"]])
        let health = try #require(ConfigurationReader.shape.keys.first { $0.name == "health" })
        guard case .list(let check)? = health.shape.kinds.first else {
            Issue.record("health is no list")
            return
        }
        #expect(check.alternatives == [HealthReader.probes])
        #expect(check.keys.filter(\.isRequired).map(\.name) == ["name"])
    }

    @Test func everyKeySaysWhatItMeans() {
        let keys = Set(ConfigurationReader.shape.paths)
        #expect(Set(ConfigurationDescriptions.configuration.keys) == keys)
        let accountKeys = AccountDirectory.shape.paths.filter { $0.contains("[].") }
        #expect(
            Set(ConfigurationDescriptions.accounts.keys) == Set(accountKeys.map(withoutList)))
        #expect(
            AccountDirectory.shape.paths.allSatisfy { ConfigurationDescriptions.text($0) != nil })
    }

    @Test func defaultsAreThoseOfTheEmbeddedDefault() throws {
        let defaults = ConfigurationSchema.configuration.defaults
        #expect(Set(defaults.keys).isSubset(of: ConfigurationReader.shape.paths))
        #expect(defaults["listen.ops"] == "127.0.0.1:9464")
        #expect(defaults["services.*.watchdog"] == "5s")
        #expect(defaults["services.*.checks[].period"] == "10s")
        #expect(defaults["health[].period"] == "30s")
        #expect(defaults["data_dir"] == nil)
        #expect(defaults.count > 35)
    }

    /// The page for users has every key, each as code or within an example.
    @Test func theDocumentHasEveryKey() throws {
        let page = try String(
            contentsOf: Self.root.appending(path: "docs/CONFIGURATION.md"), encoding: .utf8)
        let paths = ConfigurationReader.shape.paths + AccountDirectory.shape.paths
        let keys = Set(paths.compactMap { $0.split(whereSeparator: { ".[]*".contains($0) }).last })
        let missing = keys.filter { !page.contains("\($0):") && !page.contains("`\($0)`") }
        #expect(missing.sorted() == [])
        #expect(keys.count > 90)
    }

    // MARK: The example

    /// The example in a folder of its own, with the keys that it names.
    private func loadExample() throws -> Configuration {
        let directory = try TemporaryDirectory()
        let folder = directory.path("examples/full")
        try FileManager.default.createDirectory(
            atPath: directory.path("examples"), withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: Self.example, toPath: folder)
        try FileManager.default.copyItem(
            atPath: Self.root.appending(path: "calendars").path,
            toPath: directory.path("calendars"))
        try PrivateFile.create(folder + "/secret.key", SecretKey.newFileText())
        try PrivateFile.create(folder + "/jwt.key", SecretKey.newFileText())
        return try Configuration.load(
            folder + "/opsd.yaml", environment: { $0 == "HOME" ? "/srv/desk" : nil },
            loginName: "lin")
    }

    @Test func theExampleLoadsWithoutAFinding() throws {
        let configuration = try loadExample()
        #expect(configuration.warnings == [])
        #expect(configuration.accounts.accounts.count == 5)
        #expect(configuration.health.count == 10)
    }

    @Test func theExampleUsesEveryKeyThatThereIs() throws {
        let used = KeyWalk(document: try document("opsd.yaml"))
        #expect(used.unknown(in: ConfigurationReader.shape) == [])
        #expect(Set(ConfigurationReader.shape.paths).subtracting(used.paths).sorted() == [])
        // Each list of accounts has the same keys, so that it is enough to use each once.
        var accountKeys: Set<String> = []
        for file in Self.accountFiles {
            let used = KeyWalk(document: try document(file))
            #expect(used.unknown(in: AccountDirectory.shape) == [])
            accountKeys.formUnion(used.paths.map(withoutList))
        }
        let all = Set(AccountDirectory.shape.paths.map(withoutList))
        #expect(all.subtracting(accountKeys).sorted() == [])
    }

    /// `master_accounts[].status` is `status`.
    private func withoutList(_ path: String) -> String {
        path.firstRange(of: "[].").map { String(path[$0.upperBound...]) } ?? path
    }

    // MARK: The summary

    @Test func theSummaryHasEverySettingOfTheExample() throws {
        let configuration = try loadExample()
        let entries = ConfigurationEntries.of(configuration)
        // What stands in the example is no default.
        let summarised = Set(entries.filter { !$0.isDefault }.map(\.path))
        let leaves = configuration.writtenKeys.filter { path in
            !configuration.writtenKeys.contains {
                $0.hasPrefix(path + ".") || $0.hasPrefix(path + "[")
            }
        }.filter { !$0.hasSuffix(".name") && !$0.contains("accounts[") && !$0.hasSuffix("]") }
        #expect(leaves.subtracting(summarised).sorted() == [])
        #expect(leaves.count > 100)
        #expect(Set(entries.map(\.path)).count == entries.count)
    }

    @Test func whatGivesAccessIsNotShown() throws {
        let folder = try ConfigurationFolder()
        let configuration = try folder.load(
            """
            broker: {live: "https://me:planted@live.example/v2?key=planted"}
            services:
              core: {builtin: core, environment: {A: planted}}
              a: {command: [a, planted], checks: [{http: "http://h/?t=planted"}, {command: [b, planted]}]}
            health: [{name: w, http: "http://u:planted@h/x"}, {name: c, command: [c, planted]}]
            """)
        let summary = ConfigurationSummary(configuration)
        let reload = try folder.reload(
            configuration,
            """
            broker: {live: "https://me:planted-2@live.example/v2?key=planted-2"}
            services:
              core: {builtin: core, environment: {A: planted-2}}
              a: {command: [a, planted-2], checks: [{http: "http://h/?t=planted-2"}, {command: [b, planted-2]}]}
            health: [{name: w, http: "http://u:planted-2@h/x"}, {name: c, command: [c, planted-2]}]
            """)
        #expect(reload.lines.count == 7)
        for text in ["\(summary)", reload.lines.joined(separator: "\n")] {
            #expect(!text.contains("planted"), "\(text)")
        }
        #expect(summary.description.contains("live: https://live.example/v2?***"))
    }

    @Test func whatTheFileLeavesOutIsMarked() throws {
        let folder = try ConfigurationFolder()
        let entries = ConfigurationEntries.of(
            try folder.load("listen: {ops: \"127.0.0.1:1234\"}\nhealth: [{name: a, tcp: \"a:1\"}]"))
        let written = entries.filter { !$0.isDefault }.map(\.path)
        #expect(written == ["listen.ops", "health[a].tcp"])
    }
}

/// The keys that a document uses.
struct KeyWalk {
    let document: YAMLDocument

    /// In the form of `YAMLShape.paths`, `*` for names that an author chose in the known places.
    var paths: Set<String> {
        var result: Set<String> = []
        let names: Set<String> = [
            "services", "services.*.environment", "paper_broker.symbols", "stores", "datasets",
            "datasets.*.key", "datasets.*.fields", "datasets.*.layout",
            "datasets.*.layout.*.fields",
            "datasets.*.layout.*.columns", "verify[].left.columns", "verify[].right.columns",
            "verify[].tolerance",
        ]
        collect(document.node, "", names, &result)
        return result
    }

    private func collect(
        _ node: YAMLNode, _ path: String, _ names: Set<String>, _ result: inout Set<String>
    ) {
        switch node.content {
        case .scalar: break
        case .sequence(let items):
            for item in items { collect(item, path + "[]", names, &result) }
        case .mapping(let entries):
            for entry in entries {
                if names.contains(path) {
                    collect(entry.value, path + ".*", names, &result)
                } else {
                    let path = path.isEmpty ? entry.key : path + "." + entry.key
                    result.insert(path)
                    collect(entry.value, path, names, &result)
                }
            }
        }
    }

    /// Keys that a shape does not have, whatever the reader may say of them.
    func unknown(in shape: YAMLShape) -> [String] { Self.unknown(document.node, shape) }

    private static func unknown(_ node: YAMLNode, _ shape: YAMLShape) -> [String] {
        switch node.content {
        case .scalar: []
        case .sequence(let items):
            items.flatMap { item in
                shape.kinds.flatMap { kind in
                    if case .list(let each) = kind { unknown(item, each) } else { [String]() }
                }
            }
        case .mapping(let entries):
            entries.flatMap { entry -> [String] in
                for kind in shape.kinds {
                    if case .names(let each) = kind { return unknown(entry.value, each) }
                }
                guard let key = shape.keys.first(where: { $0.name == entry.key }) else {
                    return [entry.key]
                }
                return unknown(entry.value, key.shape)
            }
        }
    }
}
