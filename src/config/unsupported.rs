//! What the documentation knows and the program does not do yet. It is refused, because a setting that is silently
//! ignored is worse than one that is missing. Whoever builds a feature takes its line away.

/// Field (lists as `[]`), the value that asks for the feature, and the remedy.
const NOT_YET: &[(&str, &str, &str)] = &[(
    "reboot_required_detectors[].type",
    "http",
    "use a `command` detector, with curl for example",
)];

/// Why this value of this field is refused, if it is.
pub(super) fn refusal(field: &str, value: &str) -> Option<String> {
    NOT_YET
        .iter()
        .find(|(known, asks, _)| *known == field && *asks == value)
        .map(|(_, asks, remedy)| format!("`{asks}` is not supported yet; {remedy}"))
}
