import Ledger
import StrictYAML

/// What must hold within one layout, so that every row has a place of its own and can be read back.
struct LayoutChecks {
    let dataset: String
    let schema: Schema?
    let settings: LayoutSettings
    let findings: Findings

    /// Names of one table, column or schema in PostgreSQL.
    private static let nameBytesMax = 63

    var keyRemedy: String {
        "add 'key: \"\(dataset):{\(schema?.keyFields.first?.name ?? "account_id")}\"'"
    }

    // MARK: Redis

    func checkRedis(_ parts: LayoutReader.Parts, _ fields: [LayoutReader.Renaming]) {
        let key = template(parts.key, settings.key, reserved: ":")
        let field = template(parts.field, settings.field, reserved: "")
        checkOwnKeys(parts.key)
        guard let schema, let key, field != nil || parts.field == nil else { return }
        if let field, field.fields.isEmpty {
            parts.field?.refuse(
                "field: '\(parts.field?.shown ?? "")' names no field of \(dataset)",
                "write one as {\(schema.keyFields.last?.name ?? "symbol")}, or remove it")
        }
        let named = key.fields + (field?.fields ?? [])
        checkTwice(named, parts.key, "key and field")
        checkKeyFields(named, schema, parts.key)
        let others = schema.fields.map(\.name).filter { !named.contains($0) }
        checkValue(parts, others)
        checkShown(fields, among: others, schema)
        checkTimeToLive(parts, key, schema)
    }

    /// Keys that opsd keeps beside the data.
    private func checkOwnKeys(_ value: YAMLValue?) {
        guard let key = settings.key else { return }
        let isOwn =
            ["opsd:v:", "opsd:k:"].contains(where: key.hasPrefix)
            || ["opsd:store", "opsd:digests", "opsd:events"].contains(key)
        if isOwn {
            value?.refuse("key: '\(value?.shown ?? "")' is opsd's own", "begin it otherwise")
        }
    }

    private func checkKeyFields(_ named: [String], _ schema: Schema, _ value: YAMLValue?) {
        let missing = schema.keyFields.map(\.name).filter { !named.contains($0) }
        // A name that is none is said already, and likely stands for the one that is missing.
        guard !missing.isEmpty, named.allSatisfy({ schema.index(of: $0) != nil }) else { return }
        value?.refuse(
            "key and field leave out \(missing.joined(separator: ", ")), "
                + "so that two rows of \(dataset) would have one place",
            "add \(missing.map { "{\($0)}" }.joined(separator: " and "))")
    }

    private func checkValue(_ parts: LayoutReader.Parts, _ others: [String]) {
        guard let value = parts.value, let word = settings.value, word != "json" else {
            return
        }
        if word == "hash" {
            if parts.field != nil {
                value.refuse(
                    "value: a hash for each row has no room for field",
                    "remove field, or write json")
            } else if others.isEmpty {
                value.refuse("value: a hash has at least one field", "write json")
            }
        } else if !others.contains(word) {
            value.refuse(
                "value: '\(value.shown)' is neither json, hash nor a field outside the key",
                NearestName.remedy(for: word, in: ["json", "hash"] + others, noun: "words here"))
        } else if let fields = parts.fields {
            fields.refuse(
                "fields with a value of one field alone", "remove it, or write value: json")
        }
    }

    private func checkTimeToLive(
        _ parts: LayoutReader.Parts, _ key: KeyTemplate, _ schema: Schema
    ) {
        guard let value = parts.timeToLive else { return }
        guard schema.kind == .cache else {
            return value.refuse(
                "ttl: \(dataset) is kept, and only a cache may vanish",
                schema.kind == .declared ? "remove it, or write kind: cache" : "remove it")
        }
        let keys = Set(schema.keyFields.map(\.name))
        if let other = key.fields.first(where: { !keys.contains($0) }) {
            parts.key?.refuse(
                "key: {\(other)} is not of the dataset's key, which a ttl needs",
                "remove {\(other)} or ttl")
        }
    }

    // MARK: Files

    func checkFiles(_ parts: LayoutReader.Parts, _ fields: [LayoutReader.Renaming]) {
        let path = template(parts.path, settings.path, reserved: "/")
        if let value = parts.path, let text = settings.path { checkInside(text, value) }
        checkTwice(path?.fields ?? [], parts.path, "path")
        guard let schema, path != nil || parts.path == nil else { return }
        let account = schema.accountField.map { schema.fields[$0].name }
        // Without a path of its own, a dataset has a file for each account.
        let inPath = path?.fields ?? [account].compactMap { $0 }
        checkFormat(parts.format, inPath, schema)
        let named = Set(inPath + schema.keyFields.map(\.name))
        let others = schema.fields.map(\.name).filter { !named.contains($0) }
        checkShown(fields, among: others, schema, beside: columnsOfKeys(inPath, schema))
        checkFileValue(parts, others)
        checkIgnored(parts.ignored, inPath, schema)
    }

    private func checkIgnored(_ value: YAMLValue?, _ inPath: [String], _ schema: Schema) {
        guard let value else { return }
        let hasManyRows = schema.keyFields.contains { !inPath.contains($0.name) }
        if settings.format == FileFormat.csv.rawValue || !hasManyRows {
            value.refuse(
                "ignore: only a json file of many rows has members that are none", "remove it")
        } else if let name = settings.ignored.first(where: { $0.hasPrefix("%") }) {
            value.refuse(
                "ignore: '\(name.prefix(60))' is how a row may be called",
                "name members that do not begin with %")
        }
    }

    /// Columns of a CSV file that are there before those of `fields`.
    private func columnsOfKeys(_ inPath: [String], _ schema: Schema) -> [String] {
        guard settings.format == FileFormat.csv.rawValue else { return [] }
        return schema.keyFields.map(\.name).filter { !inPath.contains($0) }
    }

    private func checkFileValue(_ parts: LayoutReader.Parts, _ others: [String]) {
        guard let value = parts.value, let word = settings.value else { return }
        if !others.contains(word) {
            value.refuse(
                "value: '\(value.shown)' is no field outside the key and the path",
                NearestName.remedy(for: word, in: others, noun: "such fields"))
        } else if settings.format == FileFormat.csv.rawValue {
            value.refuse("value: a csv file has columns", "remove it, or write format: json")
        } else if let fields = parts.fields {
            fields.refuse("fields with a value of one field alone", "remove one of the two")
        }
    }

    /// A line of a CSV file begins with what tells it from the others.
    private func checkFormat(_ value: YAMLValue?, _ inPath: [String], _ schema: Schema) {
        guard settings.format == FileFormat.csv.rawValue,
            schema.keyFields.allSatisfy({ inPath.contains($0.name) })
        else { return }
        value?.refuse(
            "format: a csv file has many rows, and each of \(dataset) would have a file of its own",
            "write json, or a path without {\(schema.keyFields.last?.name ?? "symbol")}")
    }

    /// A file is within the store's folder, and in none that is hidden: there the stamps are.
    private func checkInside(_ text: String, _ value: YAMLValue) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        if parts.contains(where: { $0.isEmpty || $0.hasPrefix(".") }) {
            value.refuse(
                "path: '\(value.shown)' is no plain path within the store's folder",
                "write one such as {account_id}/\(dataset).json, no part of it beginning with a dot"
            )
        }
    }

    // MARK: Tables

    func checkTable(
        _ parts: LayoutReader.Parts, _ columns: [LayoutReader.Renaming], _ kind: StoreKind
    ) {
        if let value = parts.table, let table = settings.table { checkName(table, value, kind) }
        for column in columns {
            if column.name.utf8.count > Self.nameBytesMax {
                findings.error(
                    column.place, "columns: the name for \(column.field.prefix(60)) is too long",
                    "write at most \(Self.nameBytesMax) bytes")
            } else if column.name.lowercased().hasPrefix("opsd_") {
                findings.error(
                    column.place, "columns: names that begin with opsd_ are opsd's own",
                    "write another")
            }
        }
        guard let schema else { return }
        let names = schema.fields.map(\.name)
        checkExist(columns, among: names, noun: "columns")
        var seen: [String: String] = [:]
        for name in names where settings.columns[name] == nil { seen[name] = name }
        // SQLite takes capitals and small letters for the same.
        checkUnique(columns, noun: "columns", seen: seen) {
            kind == .sqlite ? $0.lowercased() : $0
        }
    }

    private func checkName(_ table: String, _ value: YAMLValue, _ kind: StoreKind) {
        let parts = table.split(separator: ".", omittingEmptySubsequences: false)
        let most = kind == .postgres ? 2 : 1
        guard parts.count <= most,
            parts.allSatisfy({ (1...Self.nameBytesMax).contains($0.utf8.count) })
        else {
            return value.refuse(
                "table: '\(value.shown)' is not a table's name",
                kind == .postgres ? "write table or schema.table" : "write it without a dot")
        }
        let isOwn = ["opsd_", "sqlite_", "pg_"].contains { table.lowercased().hasPrefix($0) }
        if isOwn || (parts.count == 2 && parts[0].lowercased() == "opsd") {
            value.refuse("table: '\(value.shown)' is reserved", "write another")
        }
    }

    // MARK: Templates

    private func template(
        _ value: YAMLValue?, _ text: String?, reserved: String
    ) -> KeyTemplate? {
        guard let value, let text else { return nil }
        do {
            let template = try KeyTemplate(text, reserved: reserved)
            guard Self.closesWhatItOpens(text) else {
                value.refuse("\(value.name): '\(value.shown)': a } without its {", Self.remedy)
                return nil
            }
            checkFields(template.fields, value)
            return template
        } catch {
            value.refuse("\(value.name): '\(value.shown)': \(error.problem)", Self.remedy)
            return nil
        }
    }

    private static let remedy = "write each field as {name}, with text between two of them"

    private static func closesWhatItOpens(_ text: String) -> Bool {
        text.count { $0 == "{" } == text.count { $0 == "}" }
    }

    /// A field that may change or be absent would let its row wander.
    private func checkFields(_ names: [String], _ value: YAMLValue) {
        guard let schema else { return }
        let account = schema.accountField.map { schema.fields[$0].name }
        let usable = schema.fields.enumerated().filter { index, field in
            index < schema.keyCount || field.name == account
        }.map(\.element.name)
        for name in names where !usable.contains(name) {
            let exists = schema.index(of: name) != nil
            value.refuse(
                exists
                    ? "\(value.name): {\(name)} may change, and its row would have to move"
                    : "\(value.name): \(dataset) has no field '\(name.prefix(60))'",
                NearestName.remedy(for: name, in: usable, noun: "fields that never change"))
        }
    }

    private func checkTwice(_ names: [String], _ value: YAMLValue?, _ noun: String) {
        var seen: Set<String> = []
        for name in names where !seen.insert(name).inserted {
            value?.refuse("{\(name)} stands twice in \(noun)", "remove one of the two")
        }
    }

    // MARK: Names that others see

    private func checkShown(
        _ fields: [LayoutReader.Renaming], among names: [String], _ schema: Schema,
        beside columns: [String] = []
    ) {
        for field in fields where !names.contains(field.field) {
            guard schema.index(of: field.field) != nil else { continue }
            findings.error(
                field.place, "fields: \(field.field) tells the rows apart and is there already",
                "remove it")
        }
        checkExist(fields, among: schema.fields.map(\.name), noun: "fields")
        let seen = Dictionary(columns.map { ($0, $0) }, uniquingKeysWith: { first, _ in first })
        checkUnique(fields, noun: "fields", seen: seen) { $0 }
    }

    private func checkExist(
        _ renamings: [LayoutReader.Renaming], among names: [String], noun: String
    ) {
        for field in renamings where !names.contains(field.field) {
            findings.error(
                field.place, "\(noun): \(dataset) has no field '\(field.field.prefix(60))'",
                NearestName.remedy(for: field.field, in: names, noun: "fields"))
        }
    }

    private func checkUnique(
        _ renamings: [LayoutReader.Renaming], noun: String, seen: [String: String],
        canonical: (String) -> String
    ) {
        var seen = seen
        for field in renamings {
            let name = canonical(field.name)
            if let first = seen[name] {
                findings.error(
                    field.place, "\(noun): \(first) and \(field.field) have one name there",
                    "give one of them another")
            }
            seen[name] = seen[name] ?? field.field
        }
    }
}
