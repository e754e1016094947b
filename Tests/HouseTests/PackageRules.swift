import Foundation

/// What Package.swift says of each target, and what its sources import.
///
/// The build's own check takes a module that is reachable through a dependency's dependency for
/// declared; this one does not.
extension Repository {
    /// They come with the toolchain.
    private static let toolchain: Set<String> = [
        "Darwin", "Dispatch", "Foundation", "FoundationEssentials", "Glibc", "Musl", "Swift",
        "Synchronization",
    ]

    /// Every import is declared, and everything declared is imported.
    func importsOtherThanDeclared() -> [Finding] {
        guard let package = files.first(where: { $0.path == "Package.swift" }) else { return [] }
        let declarations = TargetDeclaration.all(in: package)
        return declarations.flatMap { declaration -> [Finding] in
            let files = sources.filter { $0.target == declaration.name }
            guard !files.isEmpty else { return [] }
            let imported = Set(files.flatMap { $0.imports.map(\.module) })
            let unused = declaration.modules.subtracting(imported).sorted().map {
                package.finding(
                    declaration.index, "\(declaration.name) declares \($0) and never imports it")
            }
            return unused + files.flatMap { undeclaredImports(of: $0, declaration) }
        }
    }

    private func undeclaredImports(
        of file: TextFile, _ declaration: TargetDeclaration
    ) -> [Finding] {
        let known = declaration.modules.union(Self.toolchain)
        return file.imports.filter { !known.contains($0.module) }.map {
            file.finding(
                $0.index,
                "\(declaration.name) imports \($0.module): declare it in Package.swift")
        }
    }
}

/// A target of the product, as Package.swift declares it.
private struct TargetDeclaration {
    let name: String
    let modules: Set<String>
    /// Of the line, from 0.
    let index: Int

    static func all(in package: TextFile) -> [TargetDeclaration] {
        let text = package.lines.joined(separator: "\n")
        let products = Dictionary(
            text.matches(of: /let (\w+) = Target\.Dependency\.product\(\s*name: "(\w+)"/).map {
                (String($0.output.1), String($0.output.2))
            }, uniquingKeysWith: { first, _ in first })
        let targets = text.matches(
            of: /\.(?:executableTarget|target)\(\s*name: "(\w+)",\s*dependencies: \[([^\]]*)\]/)
        return targets.map { match in
            let words = match.output.2.split { !$0.isLetter && !$0.isNumber && $0 != "\"" }
            let modules = words.map { word in
                word.hasPrefix("\"")
                    ? String(word.dropFirst().dropLast())
                    : products[String(word)] ?? String(word)
            }
            return TargetDeclaration(
                name: String(match.output.1), modules: Set(modules),
                index: text[..<match.range.lowerBound].count { $0 == "\n" })
        }
    }
}
