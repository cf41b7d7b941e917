"""The scripts by which bash, zsh and fish complete lbctl: texts out of its commands. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

Takes = Literal["", "value", "file", "directory"]


@dataclass(frozen=True, slots=True)
class Option:
    """
    Attributes:
        names: ``--json``, ``-n``.
        takes: what follows it; empty: nothing does.
        choices: the words that this may be; empty: whatever.
    """

    names: tuple[str, ...]
    help: str
    takes: Takes
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Word:
    """
    One command.

    Attributes:
        choices: the words that its first argument may be.
        names: ``servers`` or ``services``, where it takes one; empty: neither.
    """

    name: str
    help: str
    options: tuple[Option, ...]
    choices: tuple[str, ...]
    names: str


Words = Mapping[str, Word]

_BASH: Final = """\
# bash completion of lbctl; made by `lbctl completion bash`.
_lbctl_names() {
    local run_dir=${LBCTL_RUN_DIR:-/run/lbctl} at
    for ((at = 1; at < ${#words[@]} - 1; at++)); do
        [[ ${words[at]} == --run-dir ]] && run_dir=${words[at + 1]}
        [[ ${words[at]} == --run-dir=* ]] && run_dir=${words[at]#*=}
    done
    @ASKING@ "$run_dir" "$1" "$cur" 2>/dev/null
}

_lbctl_whole_words() {
    # Readline cuts words at ":" and "=", which names and options may hold.
    local line=${COMP_LINE:0:COMP_POINT}
    read -r -a words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    cur=${words[${#words[@]} - 1]}
    prev=${words[${#words[@]} - 2]}
}

_lbctl() {
    local words cur prev command="" at options choices="" names="" list
    COMPREPLY=()
    _lbctl_whole_words
    for ((at = 1; at < ${#words[@]} - 1; at++)); do
        [[ ${words[at]} != -* ]] && command=${words[at]} && break
    done
    case $command in
@CASES@
    "") choices="@COMMANDS@" options="--version --help" ;;
    *) return ;;
    esac
    case $command/$prev in
@TAKING@
    esac
    if [[ $cur == --*=* ]]; then
        # What readline completes begins behind the "=".
        mapfile -t COMPREPLY < <(compgen -d -- "${cur#*=}")
        return
    fi
    list=""
    if [[ $cur == -* ]]; then
        list=$options
    else
        # Behind the first argument a choice was made.
        [[ $command == "" || ${words[at + 1]-} == "$cur" ]] && list=$choices
        if [[ -n $names && (-z $choices || ${words[at + 1]-} != "$cur") ]]; then
            # They begin with what was typed; compgen would expand what a name may hold.
            mapfile -t COMPREPLY < <(_lbctl_names "$names")
        fi
    fi
    [[ -n $list ]] && mapfile -t COMPREPLY < <(compgen -W "$list" -- "$cur")
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == */ ]] && compopt -o nospace 2>/dev/null
    if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${cur%"${cur##*:}"}"}")
    fi
}
complete -F _lbctl lbctl
"""

_ZSH: Final = """\
#compdef lbctl
# zsh completion of lbctl; made by `lbctl completion zsh`.
_lbctl_names() {
    local run_dir=${LBCTL_RUN_DIR:-/run/lbctl}
    local -a found
    (( ${words[(I)--run-dir]} )) && run_dir=${words[${words[(I)--run-dir]} + 1]}
    found=("${(@f)$(@ASKING@ "$run_dir" "$1" "$PREFIX" 2>/dev/null)}")
    compadd -S "" -- ${found:#}
}

_lbctl() {
    local -a commands
    local context state state_descr line
    typeset -A opt_args
    commands=(
@COMMANDS@
    )
    _arguments -C '--version[Print the version.]' '--help[Show this message and exit.]' \\
        '1: :->command' '*:: :->rest' && return
    case $state in
    command) _describe command commands ;;
    rest)
        case $words[1] in
@CASES@
        esac
        ;;
    esac
}

if [[ ${funcstack[1]-} == _lbctl ]]; then _lbctl "$@"; else compdef _lbctl lbctl; fi
"""

_FISH: Final = """\
# fish completion of lbctl; made by `lbctl completion fish`.
function __lbctl_names
    set -l run_dir /run/lbctl
    set -q LBCTL_RUN_DIR; and set run_dir $LBCTL_RUN_DIR
    @ASKING@ "$run_dir" $argv[1] (commandline -ct) 2>/dev/null
end
complete -c lbctl -f
complete -c lbctl -n __fish_use_subcommand -l version -d 'Print the version.'
@COMMANDS@
"""


def bash(words: Words, asking: str) -> str:
    """Args: asking: the program that says names, as a shell reads it."""
    cases, taking = [], []
    for word in words.values():
        options = " ".join(name for option in word.options for name in option.names)
        cases.append(
            f'    {word.name}) options="{options}" choices="{" ".join(word.choices)}" '
            f'names="{word.names}" ;;'
        )
        for option in word.options:
            if option.takes:
                names = "|".join(f"{word.name}/{name}" for name in option.names)
                taking.append(f"    {names}) {_bash_value(option)}return ;;")
    return _filled(
        _BASH,
        ASKING=asking,
        CASES="\n".join(cases),
        TAKING="\n".join(taking),
        COMMANDS=" ".join(words),
    )


def _bash_value(option: Option) -> str:
    """What completes the word behind it."""
    words = " ".join(option.choices)
    action = {"file": "-f", "directory": "-d"}.get(option.takes, f'-W "{words}"' if words else "")
    return f'mapfile -t COMPREPLY < <(compgen {action} -- "$cur"); ' if action else ""


def zsh(words: Words, asking: str) -> str:
    """Args: as of :func:`bash`."""
    commands = "\n".join(f"        {_quoted(f'{w.name}:{_plain(w.help)}')}" for w in words.values())
    cases = []
    for word in words.values():
        specs = [_zsh_option(name, one) for one in word.options for name in one.names]
        specs += [f"'1: :({' '.join(word.choices)})'"] if word.choices else []
        specs += [f"'*: :{{_lbctl_names {word.names}}}'"] if word.names else []
        cases.append(f"        {word.name}) _arguments {' '.join(specs)} ;;")
    return _filled(_ZSH, ASKING=asking, COMMANDS=commands, CASES="\n".join(cases))


def _zsh_option(name: str, option: Option) -> str:
    words = f": :({' '.join(option.choices)})" if option.choices else ": : "
    actions = {"": "", "value": words, "file": ": :_files", "directory": ": :_files -/"}
    told = _plain(option.help).replace("[", "(").replace("]", ")").replace(":", "\\:")
    sign = "=" if option.takes and name.startswith("--") else ""
    return _quoted(f"{name}{sign}[{told}]{actions[option.takes]}")


def fish(words: Words, asking: str) -> str:
    """Args: as of :func:`bash`."""
    lines = []
    for word in words.values():
        told = _quoted(_plain(word.help))
        lines.append(f"complete -c lbctl -n __fish_use_subcommand -a {word.name} -d {told}")
        seen = f"-n '__fish_seen_subcommand_from {word.name}'"
        for option in word.options:
            names = " ".join(_fish_option(name) for name in option.names)
            takes = {"": "", "value": " -x", "file": " -rF", "directory": " -x"}[option.takes]
            if option.choices:
                takes += f" -a '{' '.join(option.choices)}'"
            if option.takes == "directory":
                takes += " -a '(__fish_complete_directories)'"
            lines.append(
                f"complete -c lbctl {seen} {names}{takes} -d {_quoted(_plain(option.help))}"
            )
        if word.choices:
            lines.append(f"complete -c lbctl {seen} -a '{' '.join(word.choices)}'")
        if word.names:
            lines.append(f"complete -c lbctl {seen} -a '(__lbctl_names {word.names})'")
    return _filled(_FISH, ASKING=asking, COMMANDS="\n".join(lines))


def _fish_option(name: str) -> str:
    return f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"


def _plain(text: str) -> str:
    """What a shell could take for something else is no loss in a help."""
    return "".join(character for character in text if character not in "'\"`$\\")


def _quoted(text: str) -> str:
    return shlex.quote(text)


def _filled(form: str, **parts: str) -> str:
    for name, text in parts.items():
        form = form.replace(f"@{name}@", text)
    return form


SCRIPTS: Final[Mapping[str, Callable[[Words, str], str]]] = {"bash": bash, "zsh": zsh, "fish": fish}
