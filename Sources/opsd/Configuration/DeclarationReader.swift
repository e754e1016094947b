import Ledger
import StrictYAML
import Trading

/// Reads what a dataset is made of: its kind, its key and its fields.
struct DeclarationReader {
    let name: String
    /// Of the name.
    let place: Place
    let findings: Findings

    /// What users may declare. Facts are what happened in the core, and what is derived comes of them.
    private enum Kind: String, CaseIterable {
        case declared, cache
    }

    private static let keys = ["kind", "key", "fields", "on_failure"]
    private static let required = ["kind", "key", "fields"]

    func read(_ item: inout YAMLMapping, core: Schema?) -> DeclaredDataset? {
        let kindValue = item.optional("kind")
        let keyValue = item.optional("key")
        let fieldsValue = item.optional("fields")
        let ruleValue = item.optional("on_failure")
        if core != nil {
            refuseBuiltIn(item, Self.keys, "the trading core's")
            return nil
        }
        if let cache = Datasets.caches[name] {
            refuseBuiltIn(item, Self.keys.filter { $0 != "kind" }, "a cache of opsd's own")
            if let kindValue, let kind = kindValue.choice(Kind.self), kind != .cache {
                kindValue.refuse("dataset \(name) is a cache", "write cache, or remove kind")
            }
            return DeclaredDataset(kind: .cache, schema: cache)
        }
        let kind = kindValue.flatMap(readKind)
        let key = keyValue.flatMap(readKey)
        let fields = fieldsValue?.names(readField)
        let rule = ruleValue?.choice(FailureRule.self)
        guard isDeclared(item) else { return nil }
        if kind == .cache {
            ruleValue?.refuse(
                "on_failure is for what is kept, and a cache's rows are dropped", "remove it")
        }
        guard let kind, let key, let fields else { return nil }
        let all = checked(key, fields)
        let hasAccount = all.contains { $0.name == Self.account }
        let schema = Schema(
            dataset: name, kind: kind, key: key.map(\.field), fields: fields.map(\.field),
            accountField: hasAccount ? Self.account : nil)
        return DeclaredDataset(kind: kind, schema: schema, onFailure: rule ?? .rollForward)
    }

    // MARK: Whose it is

    private func refuseBuiltIn(_ item: YAMLMapping, _ keys: [String], _ whose: String) {
        for key in keys {
            guard let place = item.place(ofKey: key) else { continue }
            findings.error(
                place, "dataset \(name) is \(whose), which sets \(key) itself",
                "remove \(key), or give the dataset another name")
        }
    }

    /// Says what is missing of a dataset that is not the core's.
    private func isDeclared(_ item: YAMLMapping) -> Bool {
        let missing = Self.required.filter { !item.contains($0) }
        guard missing.count < Self.required.count else {
            let near = NearestName.nearest(
                to: name,
                in: (Datasets.catalogue.schemas + Datasets.caches.schemas).map(\.dataset))
            findings.error(
                place, "no dataset is called '\(name.prefix(60))'",
                near.map { "write \($0)" } ?? "add kind, key and fields to declare it")
            return false
        }
        if !Self.isDataName(name) {
            findings.error(
                place, "'\(name.prefix(60))' is not the name of a dataset", Self.nameRemedy)
        }
        for key in missing {
            item.refuse(
                "dataset \(name.prefix(60)) lacks \(key)", "add '\(key): \(Self.example(of: key))'")
        }
        return missing.isEmpty
    }

    private static func example(of key: String) -> String {
        switch key {
        case "kind": "declared"
        case "key": "[account_id]"
        default: "{name: text}"
        }
    }

    private func readKind(_ value: YAMLValue) -> DatasetKind? {
        guard value.shown != DatasetKind.fact.rawValue, value.shown != DatasetKind.derived.rawValue
        else {
            value.refuse(
                "kind: \(value.shown) is for what the trading core writes",
                "write declared or cache")
            return nil
        }
        return value.choice(Kind.self).map { $0 == .cache ? .cache : .declared }
    }

    // MARK: Fields

    private struct PlacedField {
        let field: Field
        let place: Place
        var name: String { field.name }
    }

    private static let account = "account_id"

    private func readKey(_ value: YAMLValue) -> [PlacedField]? {
        var count = 0
        let fields = value.names(
            orItems: { item in
                count += 1
                return item.nonEmptyText().map {
                    PlacedField(field: Field($0, .text), place: item.place)
                }
            },
            { name, place, value in
                count += 1
                return readField(name, place, value)
            })
        guard let fields else { return nil }
        if count == 0 { value.refuse("key names no field", "write key: [account_id]") }
        for field in fields {
            if field.field.isOptional {
                findings.error(
                    field.place, "key: \(field.name) cannot be optional",
                    "write \(field.field.type.rawValue)")
            } else if field.field.type == .json {
                findings.error(
                    field.place, "key: \(field.name) cannot be json",
                    "write text, or make it one of the fields")
            }
        }
        return fields
    }

    private func readField(_ name: String, _ place: Place, _ value: YAMLValue) -> PlacedField? {
        guard let text = value.nonEmptyText() else { return nil }
        let isOptional = text.hasSuffix("?")
        let word = isOptional ? String(text.dropLast()) : text
        guard let type = FieldType(rawValue: word) else {
            value.refuse(
                "\(value.name): '\(value.shown)' is not a type",
                NearestName.remedy(
                    for: word, in: FieldType.allCases.map(\.rawValue), noun: "types"))
            return nil
        }
        return PlacedField(field: Field(name, type, optional: isOptional), place: place)
    }

    private func checked(_ key: [PlacedField], _ fields: [PlacedField]) -> [PlacedField] {
        var seen: [String: PlacedField] = [:]
        let all = key + fields
        for field in all {
            if !Self.isDataName(field.name) {
                findings.error(
                    field.place, "'\(field.name.prefix(60))' is not the name of a field",
                    Self.nameRemedy)
            }
            if let first = seen[field.name] {
                findings.error(
                    field.place,
                    "field \(field.name) is already there in line \(first.place.line)",
                    "remove one of the two")
            }
            seen[field.name] = seen[field.name] ?? field
            if field.name == Self.account, field.field.type != .text || field.field.isOptional {
                findings.error(
                    field.place, "account_id is the account that a row belongs to", "write text")
            }
        }
        return all
    }

    // MARK: Names

    /// A name goes into tables, keys, files and URLs as it is; within the 63 bytes of PostgreSQL.
    static func isDataName(_ text: String) -> Bool {
        guard (1...60).contains(text.utf8.count), let first = text.unicodeScalars.first,
            ("a"..."z").contains(first), !text.hasPrefix("opsd_"), !text.hasPrefix("sqlite_")
        else { return false }
        return text.unicodeScalars.allSatisfy { scalar in
            switch scalar {
            case "a"..."z", "0"..."9", "_": true
            default: false
            }
        }
    }

    private static let nameRemedy =
        "write 1 to 60 of a to z, 0 to 9 and '_', a letter first, and not opsd_ or sqlite_"
}
