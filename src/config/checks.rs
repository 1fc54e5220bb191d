//! What only shows when all folders are seen together.

use super::read::FoundFolder;
use super::source::Mistakes;
use crate::remote::meet::Above;

/// Labels and paths are unique, and no two folders meet in the cloud.
pub(super) fn folders(all: &[FoundFolder<'_>], device: &str, mistakes: &Mistakes<'_>) {
    for (number, this) in all.iter().enumerate() {
        for before in all.iter().take(number) {
            pair(before, this, device, mistakes);
        }
    }
}

fn pair(before: &FoundFolder<'_>, this: &FoundFolder<'_>, device: &str, mistakes: &Mistakes<'_>) {
    let (one, two) = (&before.folder, &this.folder);
    let line = mistakes.line(&before.section.span);
    if one.path == two.path && one.account == two.account {
        this.section.note(
            "path",
            format!(
                "the folder in line {line} is the same, {}, for the same account; leave one of the two out",
                two.path.display()
            ),
        );
        return;
    }
    if one.label == two.label {
        let key = if this.section.has("label") { "label" } else { "path" };
        this.section.note(
            key,
            format!(
                "the folder in line {line} has the label {:?} too; write label = \"…\" with another name",
                two.label
            ),
        );
        return;
    }
    if one.account != two.account {
        return;
    }
    let above_one = Above::of(&one.remote, device, &one.label);
    let above_two = Above::of(&two.remote, device, &two.label);
    if above_one.can_meet(&above_two) {
        let key = if this.section.has("remote") { "remote" } else { "path" };
        this.section.note(
            key,
            format!(
                "files of {} and of {} (line {line}) could get the same name in the cloud; write remote = \"{{label}}/…\" in both, or begin them with different words",
                two.path.display(),
                one.path.display(),
            ),
        );
    }
}
