#!/usr/bin/env bash
# release.sh VERSION: check the tree, move Unreleased of CHANGELOG.md under the version, commit, tag, build. Pushing is
# left to the person: git push --follow-tags.
set -euo pipefail
version=${1:?name the version, such as 0.2.0}
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || { echo "$version is no version MAJOR.MINOR.PATCH" >&2; exit 2; }
cd "$(dirname "$0")/.."
[ -z "$(git status --porcelain)" ] || { echo "commit or stash your changes first" >&2; exit 2; }
! git rev-parse -q --verify "refs/tags/v$version" >/dev/null || { echo "v$version is there already" >&2; exit 2; }
grep -q '^## Unreleased' CHANGELOG.md || { echo "CHANGELOG.md has no Unreleased section" >&2; exit 2; }
[ "${DRY_RUN:-}" ] || make lint test docs
sed -i "s/^## Unreleased.*/## Unreleased\n\n## $version - $(date +%Y-%m-%d)/" CHANGELOG.md
if [ "${DRY_RUN:-}" ]; then git diff --stat; git checkout -q CHANGELOG.md; exit; fi
git commit -qam "Release $version"
git tag -a "v$version" -m "autods $version"
rm -rf dist && .venv/bin/python -m build
echo "dist/ holds $version; publish with: git push --follow-tags && twine upload dist/*"
