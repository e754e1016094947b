import Foundation
package import Hummingbird

/// The router hands out the segments of a path as they were sent.
extension Parameters {
    /// A segment with its percent signs decoded. What cannot be decoded stays as it was sent: it is
    /// the name of nothing.
    package func decoded(_ name: String) -> String {
        let text = get(name) ?? ""
        return text.removingPercentEncoding ?? text
    }
}
