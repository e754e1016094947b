import Foundation

/// What documents say must be there.
extension Repository {
    /// Links to files and to headings, from the file that they stand in.
    func deadLinks() -> [Finding] {
        documents().flatMap { file in
            file.lines.enumerated().flatMap { index, line in
                line.matches(of: /\]\(([^)\s]+)\)/).compactMap { match -> Finding? in
                    let link = String(match.1)
                    if link.contains("://") || link.hasPrefix("mailto:") { return nil }
                    let parts = link.split(separator: "#", omittingEmptySubsequences: false)
                    let path =
                        parts[0].isEmpty
                        ? file.path : Self.resolved(String(parts[0]), from: file.path)
                    if has(path), parts.count == 1 || hasHeading(String(parts[1]), in: path) {
                        return nil
                    }
                    return file.finding(index, "the link '\(link)' leads nowhere")
                }
            }
        }
    }

    /// Paths in code marks: `Sources/Ledger/Rows/Row.swift`.
    func deadPaths() -> [Finding] {
        documents().flatMap { file in
            file.lines.enumerated().flatMap { index, line in
                line.matches(of: /`((?:Sources|Tests|Benchmarks|docs|scripts)\/[^`*{\s]+)`/)
                    .compactMap { match in
                        has(String(match.1))
                            ? nil : file.finding(index, "there is no '\(match.1)'")
                    }
            }
        }
    }

    /// `make NAME` in a document is a target of the Makefile.
    func unknownTargets() -> [Finding] {
        let makefile = files.first { $0.path == "Makefile" }
        let targets = Set(
            (makefile?.lines ?? []).compactMap { line in
                line.firstMatch(of: /^([a-z][a-z-]*)\s*:(?!=)/).map { String($0.1) }
            })
        return documents().flatMap { file in
            file.lines.enumerated().flatMap { index, line in
                line.matches(of: /(?:^|`)\s*make ([a-z][a-z-]*)/).compactMap { match in
                    targets.contains(String(match.1))
                        ? nil : file.finding(index, "the Makefile has no target '\(match.1)'")
                }
            }
        }
    }

    /// Nothing names a folder of the machine that it was written on.
    func machinePaths() -> [Finding] {
        // Put together here, so that this file does not find itself.
        let folders = ["work", "root", "home", "Users"].map { "/" + $0 + "/" }
        return files.flatMap { file in
            file.lines.enumerated().compactMap { index, line in
                folders.first { line.hasRootFolder($0) }.map {
                    file.finding(index, "'\($0)' is a folder of somebody's machine")
                }
            }
        }
    }

    /// Headings as links name them: lower case, hyphens for spaces, nothing but letters and digits.
    private func hasHeading(_ anchor: String, in path: String) -> Bool {
        files.first { $0.path == path }?.lines.contains { line in
            guard line.hasPrefix("#") else { return false }
            let words = line.drop { $0 == "#" || $0 == " " }.lowercased()
                .filter { $0.isLetter || $0.isNumber || $0 == " " || $0 == "-" || $0 == "_" }
            return words.map { $0 == " " ? "-" : String($0) }.joined() == anchor
        } ?? false
    }

    private static func resolved(_ link: String, from path: String) -> String {
        var parts = link.hasPrefix("/") ? [] : path.split(separator: "/").dropLast()
        for part in link.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return parts.joined(separator: "/")
    }
}

extension String {
    /// Whether a path that begins with this folder stands here; not as a part of a longer path.
    fileprivate func hasRootFolder(_ folder: String) -> Bool {
        guard contains(folder), let range = firstRange(of: folder) else { return false }
        guard range.lowerBound > startIndex else { return true }
        let before = self[index(before: range.lowerBound)]
        return !(before.isLetter || before.isNumber || "._-}*".contains(before))
    }
}

// MARK: - Alerts

/// What on-call reads at night is there, and says what it should.
extension Repository {
    private struct Alert {
        let file: TextFile
        let index: Int
        let name: String
        let text: String
    }

    /// Each alert has a severity, a page of its own, and a test; each page an alert.
    func alertsWithoutRunbook() -> [Finding] {
        let alerts = files.filter { $0.path.hasPrefix("alerts/") && !$0.path.contains("/tests/") }
            .flatMap(alerts)
        let tests = files.filter { $0.path.hasPrefix("alerts/tests/") }
            .map { $0.lines.joined(separator: "\n") }.joined()
        let findings = alerts.flatMap { alert -> [Finding] in
            let page = "runbooks/\(alert.name).md"
            let problems = [
                has(page) ? nil : "has no page \(page)",
                alert.text.contains("runbook_url: \(page)\n") ? nil : "does not name its page",
                alert.text.contains(/severity: (critical|warning|info)\b/)
                    ? nil : "has no severity",
                tests.contains("alertname: \(alert.name)\n        exp_alerts:\n")
                    ? nil : "has no test in which it fires",
            ]
            return problems.compactMap(\.self).map {
                alert.file.finding(alert.index, "the alert \(alert.name) \($0)")
            }
        }
        let names = Set(alerts.map(\.name))
        let pages = files.filter { $0.path.hasPrefix("runbooks/") }
        return findings + pages.flatMap { page in badRunbook(page, names) }
    }

    private func badRunbook(_ page: TextFile, _ names: Set<String>) -> [Finding] {
        let name = String(page.path.dropFirst("runbooks/".count).prefix { $0 != "." })
        let headings = page.lines.filter { $0.hasPrefix("#") }
        let wanted = ["# \(name)", "## Meaning", "## Impact", "## Check", "## Fix"]
        return [
            names.contains(name) ? nil : "no alert is called \(name)",
            headings == wanted ? nil : "the headings are not \(wanted.joined(separator: ", "))",
        ].compactMap(\.self).map { page.finding(0, $0) }
    }

    private func alerts(in file: TextFile) -> [Alert] {
        let starts = file.lines.indices.filter { file.lines[$0].contains("- alert: ") }
        return starts.enumerated().compactMap { number, start in
            let end = number + 1 < starts.count ? starts[number + 1] : file.lines.count
            guard let name = file.lines[start].split(separator: " ").last else { return nil }
            return Alert(
                file: file, index: start, name: String(name),
                text: file.lines[start..<end].joined(separator: "\n") + "\n")
        }
    }
}
