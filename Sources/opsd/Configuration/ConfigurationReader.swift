import Foundation
import Ledger
import StrictYAML
import Trading

extension Configuration {
    /// Reads the file and every file that it names. Throws all that is wrong at once. `path` as the
    /// user wrote it is what findings print. `accepted`: texts that stand for the files on disk.
    static func load(
        _ path: String, environment: @escaping @Sendable (String) -> String? = Self.processVariable,
        loginName: String = LoginName.current, accepted: ConfigurationTexts? = nil
    ) throws(ConfigurationError) -> Configuration {
        let findings = Findings()
        let reader = ConfigurationReader(
            path: path, environment: environment, loginName: loginName, findings: findings,
            source: ConfigurationSource(accepted ?? ConfigurationTexts()))
        let configuration = reader.read()
        guard let configuration, !findings.hasErrors else {
            throw ConfigurationError(findings: findings.all)
        }
        return configuration
    }

    static func processVariable(_ name: String) -> String? {
        ProcessInfo.processInfo.environment[name]
    }
}

/// Reads one `opsd.yaml`.
struct ConfigurationReader {
    let path: String
    let environment: @Sendable (String) -> String?
    let loginName: String
    let findings: Findings
    var source = ConfigurationSource()

    /// Keys of the contract that this version does not carry out. Taking them in silence would make
    /// a promise that nobody keeps.
    static let laterKeys = ["backup", "switches", "alerts"]

    private var absolutePath: String { AbsolutePath.of(path) }
    private var folder: String { AbsolutePath.folder(of: absolutePath) }

    func read() -> Configuration? {
        let document: YAMLDocument
        do {
            document = try source.document(absolutePath, name: path)
        } catch {
            findings.append(error.findings)
            return nil
        }
        return read(document)
    }

    func read(_ document: YAMLDocument) -> Configuration? {
        let key = SecretKeyAccess.of(document, environment: environment, folder: folder)
        let expansion = Expansion(
            environment: environment, folder: folder, decrypt: key.decrypt)
        return document.root(findings: findings, expansion: expansion).mapping { top in
            var result = readAll(&top, key)
            let places = document.places
            ConfigurationChecks(
                configuration: result, places: places, top: top.place, findings: findings
            ).run()
            result.writtenKeys = Set(places.keys)
            result.warnings = findings.warnings
            result.texts = source.texts
            return result
        }
    }

    /// What the file may say, recorded from the reading itself.
    static var shape: YAMLShape {
        YAMLShape.of { root in
            let reader = ConfigurationReader(
                path: "opsd.yaml", environment: { _ in nil }, loginName: "admin",
                findings: Findings())
            _ = root.mapping { reader.readAll(&$0, .none) }
        }
    }

    private func readAll(_ top: inout YAMLMapping, _ key: SecretKeyAccess) -> Configuration {
        let dataDirectory =
            SecretKeyAccess.readPath(top.optional("data_dir"))
            ?? AbsolutePath.of("data", in: folder)
        var result = Configuration(
            path: absolutePath, folder: folder, dataDirectory: dataDirectory,
            operators: [Operator(name: loginName, role: .admin)],
            secrets: SecretSettings(keyFile: dataDirectory + "/secret.key", jwt: Secret("")))
        readGeneral(&top, &result)
        readSections(&top, key, &result)
        let stores = readStores(&top, &result)
        let checks = readVerify(&top, stores, &result)
        warnOfUnused(stores, result)
        readServices(&top, stores, &result)
        readSchedule(&top, &result)
        addVerification(checks, to: &result)
        readAccounts(&top, key, &result)
        for key in Self.laterKeys {
            top.refuse(
                key: key, "\(key) is not carried out by this version of opsd",
                "remove it, or use a version that does")
        }
        return result
    }

    private func readGeneral(_ top: inout YAMLMapping, _ result: inout Configuration) {
        if let value = top.optional("node"), let name = ServiceReader.readName(value) {
            result.node = name
        }
        if let value = top.optional("time_zone"), let name = value.nonEmptyText() {
            if let zone = TimeZones.zone(name) {
                result.timeZone = zone
            } else {
                let near = NearestName.nearest(to: name, in: TimeZone.knownTimeZoneIdentifiers)
                value.refuse(
                    "time_zone: there is no time zone '\(value.shown)'",
                    near.map { "write \($0)" } ?? "write one such as Asia/Shanghai, or UTC")
            }
        }
        if let value = top.optional("operators") {
            result.operators = readOperators(value)
        }
    }

    private func readOperators(_ value: YAMLValue) -> [Operator] {
        var seen: Set<String> = []
        let operators = value.sequence { item in
            item.mapping { entry -> Operator? in
                let nameValue = entry.required("name")
                let name = nameValue.flatMap(ServiceReader.readName)
                let role = entry.required("role")?.choice(OperatorRole.self)
                if let name, !seen.insert(name).inserted {
                    nameValue?.refuse("operator \(name) is listed twice", "remove one of the two")
                }
                guard let name, let role else { return nil }
                return Operator(name: name, role: role)
            }
        }
        return operators ?? []
    }

    private func readAccounts(
        _ top: inout YAMLMapping, _ key: SecretKeyAccess, _ result: inout Configuration
    ) {
        let value = top.optional("accounts")
        if let value {
            result.accountFiles = readAccountFiles(value)
        } else if !top.contains("accounts") {
            result.accountFiles = defaultAccountFiles(top, result.dataDirectory)
        }
        result.accounts = AccountDirectory.load(
            files: result.accountFiles, connectionsMax: result.limits.accountConnections,
            refusesSharedKeys: true, environment: environment, decrypt: key.decrypt,
            findings: findings
        ) { [source] file throws(StrictYAMLError) in
            try source.document(file.path, name: file.name)
        }
        if let value, result.accountFiles.isEmpty, !findings.hasErrors {
            value.warn("accounts is empty", "nothing can trade; name account files")
        }
    }

    private func readAccountFiles(_ value: YAMLValue) -> [AccountFile] {
        let shownFolder = AbsolutePath.folder(of: path)
        var seen: Set<String> = []
        let files = value.sequence { item -> AccountFile? in
            guard let written = item.nonEmptyText() else { return nil }
            let file = AbsolutePath.of(written, in: folder)
            guard seen.insert(file).inserted else {
                item.refuse("\(item.shown) is named twice", "remove one of the two")
                return nil
            }
            guard source.exists(file) else {
                item.refuse("\(item.shown) does not exist", "create it, or correct the path")
                return nil
            }
            let shown =
                written.hasPrefix("/") || !path.contains("/")
                ? written : shownFolder + "/" + written
            return AccountFile(path: file, name: shown)
        }
        return files ?? []
    }

    private func defaultAccountFiles(
        _ top: YAMLMapping, _ dataDirectory: String
    ) -> [AccountFile] {
        EmbeddedDefault.accountFileNames.compactMap { name in
            let file = "\(dataDirectory)/accounts/\(name)"
            guard source.exists(file) else {
                top.refuse(
                    "accounts is left out, and \(file) does not exist",
                    "add 'accounts: [accounts.yaml]' with the files of your own")
                return nil
            }
            return AccountFile(path: file)
        }
    }
}
