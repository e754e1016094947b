internal import Connections
public import Ledger

/// What lies in the places of rows, and putting something else there: a script for some rows at a time.
///
/// An image is a row's field of the data and of the stamps, or the whole key where it holds one row or
/// is none of the layout's type, the times at which the keys expire, and the entry of the index. What it says
/// of a key with other rows comes back only where no other row is in it by then; otherwise the row stays as
/// it is.
extension RedisStore: RepairableStore {
    public func images(_ keys: [RowKey]) async throws(StoreError) -> [RowImage] {
        guard let dataset = keys.first?.dataset else { return [] }
        let coding = try coding(dataset)
        try check(keys, coding)
        let rowsMax = rowsMax
        return try await perform { connection throws(StoreError) in
            var images: [RowImage] = []
            for start in stride(from: 0, to: keys.count, by: rowsMax) {
                let some = Array(keys[start..<min(start + rowsMax, keys.count)])
                var arguments = coding.repairArguments("look")
                for (key, place) in zip(some, try connection.places(of: some, coding)) {
                    arguments.append(place ?? [])
                    coding.appendNames(key, to: &arguments)
                }
                images += try connection.repair(arguments).compactMap(\.self)
            }
            return images
        }
    }

    public func replace(
        _ replacements: [RowReplacement]
    ) async throws(StoreError) -> [RowImage?] {
        guard let dataset = replacements.first?.key.dataset else { return [] }
        let coding = try coding(dataset)
        try check(replacements.map(\.key), coding)
        for replacement in replacements {
            if let problem = coding.problem(of: replacement) {
                throw .refused(store: name, problem: "\(replacement.key): \(problem)")
            }
        }
        let rowsMax = rowsMax
        return try await perform { connection throws(StoreError) in
            var images = [RowImage?](repeating: nil, count: replacements.count)
            for group in Self.groups(replacements, rowsMax) {
                var arguments = coding.repairArguments("replace")
                for index in group { coding.append(replacements[index], to: &arguments) }
                for (index, image) in zip(group, try connection.repair(arguments)) {
                    images[index] = image
                }
            }
            return images
        }
    }

    private func check(_ keys: [RowKey], _ coding: RowCoding) throws(StoreError) {
        for key in keys
        where key.dataset != coding.schema.dataset || key.values.count != coding.schema.keyCount {
            throw .refused(store: name, problem: "\(key) is no key of \(coding.schema.dataset)")
        }
    }

    /// Rows of a key about which an image says something as such go together.
    private static func groups(_ replacements: [RowReplacement], _ rowsMax: Int) -> [[Int]] {
        var together: [[UInt8]: [Int]] = [:]
        var groups: [[Int]] = []
        var group: [Int] = []
        for (index, replacement) in replacements.enumerated() {
            var images = [replacement.expected]
            if case .image(let image) = replacement.content { images.append(image) }
            if let key = images.first(where: \.tellsOfOthers)?.redisKey {
                together[key, default: []].append(index)
                continue
            }
            group.append(index)
            if group.count == rowsMax {
                groups.append(group)
                group = []
            }
        }
        return groups + together.values + (group.isEmpty ? [] : [group])
    }
}

extension RedisConnection {
    fileprivate func repair(_ arguments: RedisArguments) throws(StoreError) -> [RowImage?] {
        var commands = RedisCommands()
        commands.append("EVAL", Array(RepairScript.text.utf8), arguments)
        let reply = try send(commands).first ?? .null
        if case .error(let text) = reply { throw RedisProblem.error(text, store: store) }
        guard let elements = reply.elements else {
            throw unavailable("EVAL was answered by something else")
        }
        return elements.map { $0.bytes.map(RowImage.init(bytes:)) }
    }
}

extension RowImage {
    fileprivate var isOfRedis: Bool { redisKey != nil }

    /// Whether it says something of a key that holds other rows too.
    fileprivate var tellsOfOthers: Bool { bytes.dropFirst().first == UInt8(ascii: "w") }

    /// Nil for what no version up to this one has written.
    fileprivate var redisKey: [UInt8]? {
        guard bytes.first == UInt8(ascii: "1"), bytes.count > 2,
            let colon = bytes.firstIndex(of: UInt8(ascii: ":")), colon > 2,
            let length = Int(String(decoding: bytes[2..<colon], as: UTF8.self)), length >= 0,
            bytes.count - colon - 1 > length
        else { return nil }
        return Array(bytes[(colon + 1)...].prefix(length))
    }
}

extension RowCoding {
    fileprivate func repairArguments(_ mode: String) -> RedisArguments {
        var arguments = RedisArguments()
        arguments.append("0".utf8)
        arguments.append(mode.utf8)
        arguments.append((field != nil ? "cell" : value == .hash ? "hash" : "text").utf8)
        arguments.append(needsIndex ? indexKey : [])
        arguments.append(stampPrefix)
        arguments.append(lifeMilliseconds)
        return arguments
    }

    /// A row's name in the index, and its field.
    fileprivate func appendNames(_ key: RowKey, to arguments: inout RedisArguments) {
        arguments.append(indexName(key.values))
        arguments.append(dataField(key.values))
    }

    fileprivate func problem(of replacement: RowReplacement) -> String? {
        var images = [replacement.expected]
        switch replacement.content {
        case .row(let stamped):
            let key = stamped.row.key(in: schema)
            if key != replacement.key { return "the row for it has another key" }
            let change = StoreBatch.Change(key: key, row: stamped.row, sequence: stamped.sequence)
            if let problem = problem(of: change) { return problem }
        case .nothing: break
        case .image(let image): images.append(image)
        }
        return images.allSatisfy(\.isOfRedis) ? nil : "its image is not one of this opsd's"
    }

    fileprivate func append(_ replacement: RowReplacement, to arguments: inout RedisArguments) {
        arguments.append(replacement.expected.bytes)
        appendNames(replacement.key, to: &arguments)
        switch replacement.content {
        case .row(let stamped): append(stamped, to: &arguments)
        case .nothing: arguments.append("nothing".utf8)
        case .image(let image):
            arguments.append("image".utf8)
            arguments.append(image.bytes)
        }
    }

    private func append(_ stamped: StampedRow, to arguments: inout RedisArguments) {
        let row = stamped.row.values
        var stamp: [UInt8] = []
        appendStamp(row, stamped.sequence, to: &stamp)
        var texts: [[UInt8]] = []
        if case .hash = value {
            for shown in shown {
                var text: [UInt8] = []
                Self.appendText(row[shown.index], to: &text)
                texts += [shown.nameBytes, text]
            }
        } else {
            var payload: [UInt8] = []
            appendPayload(row, to: &payload)
            texts = isOneRowAKey ? [payload] : [dataField(row), payload]
        }
        arguments.append("row".utf8)
        arguments.append(dataKey(row))
        arguments.append(stamp)
        arguments.append("\(texts.count)".utf8)
        for text in texts { arguments.append(text) }
    }
}
