#!/usr/bin/env bash
# Proves that lint.sh finds what it is there for: in a small tree that is clean, one violation of each kind is
# planted at a time and must be reported, alone, at its line. What only looks like one must not be reported.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
failures=0

# Without .clang-format the format is not checked: what is planted need not be pretty.
fresh_tree() {
  rm -rf "$tree"
  mkdir -p "$tree"/{core/log,actors,net,tests/unit,configs,.ci,build/dev}
  printf '#pragma once\n\n#include <string>\n' >"$tree/core/log/record.hpp"
  printf '#include "core/log/record.hpp"\n' | tee "$tree/core/log/record.cpp" >"$tree/tests/unit/record_test.cpp"
  printf '#include "core/log/record.hpp"\n\n#include <caf/all.hpp>\n' >"$tree/actors/writer.cpp"
  printf '#include "actors/writer.hpp"\n\n#include <CLI/CLI.hpp>\n#include <caf/io/all.hpp>\n' >"$tree/net/main.cpp"
  printf '#!/usr/bin/env bash\ntrue\n' | tee "$tree/configs/demo.sh" >"$tree/.ci/run"
  printf 'int main() { return system("what is built is not ours"); }\n' >"$tree/build/dev/generated.cpp"
}

fail() {
  printf 'FAILED: %s\n' "$1"
  sed 's/^/    /' "$work/out"
  failures=$((failures + 1))
}

lint() {
  lint_status=0
  "$here/lint.sh" "$tree" >"$work/out" 2>"$work/err" || lint_status=$?
}

# Puts a text into a file of the clean tree; lint must report exactly this one line.
expect_found() { # FILE TEXT LINE MESSAGE [CLANG_FORMAT_FILE]
  local before
  fresh_tree
  [[ $# -lt 5 ]] || cp "$5" "$tree/"
  before=$(cat "$tree/$1" 2>/dev/null || true)
  printf '%b' "${before:+$before\n\n}$2\n" >"$tree/$1"
  lint
  if [[ $lint_status != 1 || "$(cat "$work/out")" != "$1:$3: $4"* || "$(wc -l <"$work/out")" != 1 ]]; then
    fail "'$2' in $1: want exit code 1 and '$1:$3: $4', got $lint_status and"
  fi
}

expect_clean() { # FILE TEXT
  fresh_tree
  printf '%b' "$2\n" >"$tree/$1"
  lint
  [[ $lint_status == 0 ]] || fail "'$2' in $1: want exit code 0, got $lint_status and"
}

fresh_tree
lint
[[ $lint_status == 0 ]] || fail "the clean tree: want exit code 0, got $lint_status and"

expect_found core/log/record.cpp '#include "actors/writer.hpp"' 3 "core includes actors/"
expect_found core/log/record.cpp '#  include "net/server.hpp"' 3 "core includes net/"
expect_found core/log/record.cpp '#include <caf/actor.hpp>' 3 "core includes CAF"
expect_found core/log/record.cpp '#include "tests/unit/help.hpp"' 3 "includes tests/ outside tests"
expect_found actors/writer.cpp '#include "net/server.hpp"' 5 "actors includes net/"
expect_found actors/writer.cpp '#include <caf/io/all.hpp>' 5 "actors includes CAF's network"
expect_found actors/writer.cpp '#include <caf/openssl/all.hpp>' 5 "actors includes CAF's network"
expect_found actors/writer.cpp '#include <CLI/CLI.hpp>' 5 "actors includes the command line library"
expect_found actors/writer.cpp '#include "tests/unit/help.hpp"' 5 "includes tests/ outside tests"
expect_found net/main.cpp '#include "tests/unit/help.hpp"' 6 "includes tests/ outside tests"
expect_found core/log/record.cpp '#include "../errc.hpp"' 3 "includes by a relative path"
expect_found core/log/plain.hpp 'struct plain {};' 1 "header without #pragma once"
expect_found tests/unit/help.hpp '// #pragma once' 1 "header without #pragma once"

expect_found core/log/record.cpp 'void f() { std::this_thread::sleep_for(one_second); }' 3 "sleeps"
expect_found actors/writer.cpp 'void f() { sleep(1); }' 5 "sleeps"
expect_found net/main.cpp 'void f() { ::usleep(1); }' 6 "sleeps"
expect_found core/log/record.cpp 'int f() { return system("ls"); }' 3 "calls system()"
expect_found core/log/record.cpp 'int f() { return std::system(command); }' 3 "calls system()"
expect_found net/main.cpp 'void f() {\n  system(command);\n}' 7 "calls system()"
expect_found core/log/record.cpp 'void f() { std::sprintf(to, from); }' 3 "calls sprintf()"
expect_found core/log/record.cpp 'void f() { strcpy(to, from); }' 3 "calls strcpy()"
expect_found actors/writer.cpp 'void f() { gets(line); }' 5 "calls gets()"
expect_found core/log/record.cpp 'int f() { return rand(); }' 3 "calls rand()"
expect_found core/log/record.cpp 'void f() { std::cout << 1; }' 3 "writes to a standard stream"
expect_found actors/writer.cpp 'void f() { std::cout << "see // there"; }' 5 "writes to a standard stream"

expect_found core/log/record.cpp "// TO""DO: later" 3 "marker for later work"
expect_found tests/unit/record_test.cpp "int x; // FIX""ME" 3 "marker for later work"
expect_found configs/demo.sh "# TO""DO" 4 "marker for later work"
expect_found configs/demo.sh 'if true; then' 5 "bash -n: "
expect_found .ci/run 'echo "open' 4 "bash -n: "
if command -v clang-format >/dev/null; then
  cp "$here/../../.clang-format" "$work/"
  expect_found core/log/record.cpp 'int   f();' 3 "format differs" "$work/.clang-format"
fi

expect_clean core/log/record.cpp '// std::cout, strcpy(a, b), system("ls") and sleep(1) are not used here'
expect_clean core/log/record.cpp 'void f() { snprintf(to, 1, from); }\nint operand(int);\nint x = operand(1);'
expect_clean core/log/record.cpp 'char* f() { return fgets(line, 1, file); }'
expect_clean actors/writer.cpp 'void f() {\n  self->system().spawn(g);\n  caf::actor_system system(config);\n}'
expect_clean actors/writer.cpp 'void f() { ::usleep(1); } // lint: allow, nothing else can be waited for'
expect_clean net/main.cpp 'void f() { std::cout << 1; }'
expect_clean tests/unit/record_test.cpp '#include "tests/unit/help.hpp"\n\nvoid f() { std::cout << 1; }'

rm -rf "$tree"
mkdir -p "$tree"
lint
[[ $lint_status == 2 ]] || fail "an empty tree: want exit code 2, got $lint_status and"

if ((failures > 0)); then
  printf '%d case(s) failed\n' "$failures"
  exit 1
fi
printf 'every planted violation was found\n'
