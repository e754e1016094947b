/// Who may import whom.
extension Repository {
    static let rooms: Set<String> = [
        "Trading", "DualWrite", "Verify", "Backup", "Alerts", "Control",
    ]

    static let cLibraries: Set<String> = [
        "CCurl", "CFiles", "CProcess", "CPostgres", "CHiredis", "CZstd",
    ]

    /// What one room needs of another is a protocol in the room that uses it.
    func importsBetweenRooms() -> [Finding] {
        sources.flatMap { file -> [Finding] in
            guard let target = file.target, Self.rooms.contains(target) else { return [] }
            return file.imports.compactMap { found in
                guard found.module != target, Self.rooms.contains(found.module) else { return nil }
                return file.finding(
                    found.index, "the room \(target) imports the room \(found.module)")
            }
        }
    }

    func importsOfTheFrontDoor() -> [Finding] {
        files.filter { !$0.path.hasPrefix("Tests/") }.flatMap { file in
            file.imports.filter { $0.module == "opsd" }.map {
                file.finding($0.index, "nobody imports opsd, the front door")
            }
        }
    }

    /// A C library that lies in Sources/CLibraries is imported by one target, and never publicly.
    func importsOfCLibraries() -> [Finding] {
        let present = files.compactMap {
            $0.path.hasPrefix("Sources/CLibraries/") ? $0.target : nil
        }
        return Self.cLibraries.union(present).sorted().flatMap { library -> [Finding] in
            var importers: Set<String> = []
            var findings: [Finding] = []
            for file in sources {
                for found in file.imports where found.module == library {
                    importers.insert(file.target ?? "")
                    if found.isPublic {
                        findings.append(
                            file.finding(
                                found.index, "\(library)'s types must not cross the target"))
                    }
                    if importers.count > 1 {
                        findings.append(
                            file.finding(
                                found.index,
                                "\(library) is imported by \(importers.sorted().joined(separator: ", "))"
                            ))
                    }
                }
            }
            if importers.isEmpty, present.contains(library) {
                findings.append(
                    Finding(
                        path: "Sources/CLibraries/\(library)/module.modulemap", line: 1,
                        problem: "no target imports \(library)"))
            }
            return findings
        }
    }

    /// Libraries that only some targets may know.
    func importsOfKeptLibraries() -> [Finding] {
        let keepers: [String: Set<String>] = [
            "Yams": ["StrictYAML"],
            "GRDB": ["Control", "Ledger", "SQLiteStore", "PaperBroker"],
            "GRDBSQLite": ["SQLiteStore"],
        ]
        return sources.flatMap { file in
            file.imports.compactMap { found in
                guard let allowed = keepers[found.module], let target = file.target,
                    !allowed.contains(target)
                else { return nil }
                return file.finding(
                    found.index,
                    "\(target) imports \(found.module), which belongs to "
                        + allowed.sorted().joined(separator: ", "))
            }
        }
    }
}

extension TextFile {
    struct Import {
        let module: String
        let isPublic: Bool
        /// Of the line, from 0.
        let index: Int
    }

    var imports: [Import] {
        (swift?.code ?? []).enumerated().compactMap { index, line in
            guard line.contains("import ") else { return nil }
            let words = line.split(separator: " ")
            guard let keyword = words.firstIndex(of: "import"),
                words[..<keyword].allSatisfy({ $0.hasPrefix("@") || Self.accessWords.contains($0) })
            else { return nil }
            let named = words[(keyword + 1)...].drop { Self.kindWords.contains($0) }.first ?? ""
            let module = named.prefix { $0.isLetter || $0.isNumber || $0 == "_" }
            return Import(
                module: String(module), isPublic: words[..<keyword].contains("public"),
                index: index)
        }
    }

    private static let accessWords: Set<Substring> = [
        "public", "package", "internal", "fileprivate", "private",
    ]
    private static let kindWords: Set<Substring> = [
        "struct", "class", "enum", "protocol", "typealias", "func", "var", "let",
    ]
}
