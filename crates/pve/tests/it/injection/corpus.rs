//! Texts that mean something to a shell, a terminal, a template, a program's options or a file system. Each of them is an
//! argument or a file's name like any other, and has to arrive as it is.

/// How many there are at least.
pub(crate) const LEAST: usize = 300;

/// What a shell may take another command out of, one a line. `@` is that command; `^` is the end of a line.
const COMMANDS: &str = r##"$(@)
`@`
;@
; @ ;
|@
| @ |
||@
&&@
&@&
^@^
x^@
x;@;x
';@;'
";@;"
\';@;\'
'\'';@;'\''
'"'"';@;'"'"'
"';@;'"
'$(@)'
"$(@)"
"`@`"
'`@`'
$'\n'@
$(`@`)
`$(@)`
${x:=$(@)}
${x:-`@`}
$((x[$(@)]))
<(@)
>(@)
{ @; }
(@)
! @
if @; then :; fi
while @; do break; done
eval '@'
sh -c '@'
exec @
trap '@' 0
x=$(@) true
<<EOF^$(@)^EOF^
#^@
-c @
--^@
\^@
'^@^'
"^@^"
{{@}}
' || @ || '
');@;('
"##;

/// What is no command, and means something all the same, one a line.
const WORDS: &str = r##"--
-
-n
-e
-c
-rf
--help
--version
--keep-env
--perms=4777
--user
+x
@file
=
a=b
PATH=/nowhere
IFS=x
LD_PRELOAD=x.so
**
/*
[a-z]*
[!a]
{a,b}
{1..9}
~root
~/x
!!
!1
!x
^a^b
%1
%s%n%x
$$
$!
$?
$0
$*
$@
$#
$HOME
${HOME}
${PATH##*/}
$IFS
${x?}
$((1/0))
$'\x41'
$"x"
<x
<<x
<<<x
2>&1
\\
\n
\x00
\0
\'
''
""
'"'
"'"
'\''
``
{{7*7}}
{% x %}
<%= 7*7 %>
${7*7}
#{7*7}
@{7*7}
{{constructor}}
%0a
%00
%2e%2e%2f
..
../../etc/shadow
..\..\x
/etc/passwd
//x//y
./.
<b>x</b>
';--
' OR '1'='1
null
proximity.service
"##;

/// Texts with something in them that is not shown as it is, or is shown as something else.
const UNSEEN: [&str; 28] = [
    "",
    " ",
    "  ",
    " a ",
    "\t",
    "a\tb",
    "\n",
    "\n\n",
    "a\n",
    "\na",
    "\r\n",
    "a b\nc d\n",
    "\u{1b}[2J\u{1b}[H",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]52;c;eA==\u{7}",
    "\u{1b}P+q\u{1b}\\",
    "\u{9b}31m",
    "\u{8}\u{8}\u{8}x",
    "ü€𝄞",
    "e\u{301}",
    "\u{202e}txt.exe",
    "\u{200d}\u{200b}\u{feff}",
    "\u{a0}\u{2028}\u{2029}\u{85}",
    "＇；＄（ｘ）｀",
    "‘’“”\u{37e}",
    "\u{10ffff}\u{fffd}\u{e000}",
    "%F0%9F%92%A9\u{1f4a9}",
    "\u{7f}",
];

/// What shells give a meaning to; each pair of them is one text.
const SIGNS: [char; 12] = [
    '\'', '"', '\\', '`', '$', '!', '\n', ';', '&', '*', '(', '-',
];

/// All of them, each once. The commands in them make a file of a name of its own in the folder.
pub(crate) fn payloads(canaries: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for (number, line) in COMMANDS.lines().enumerate() {
        let text = line.replace('^', "\n");
        for (kind, command) in ["touch", "mkdir"].into_iter().enumerate() {
            let command = format!("{command} {canaries}/{number}-{kind}");
            all.push(text.replace('@', &command));
        }
        // Without a blank, as whoever is cut at blanks would send it.
        let blankless = format!("touch${{IFS}}{canaries}/{number}-2");
        all.push(text.replace('@', &blankless));
    }
    all.extend(WORDS.lines().map(str::to_owned));
    all.extend(UNSEEN.map(str::to_owned));
    all.extend((1..=127).map(|sign: u8| format!("{}", char::from(sign))));
    for first in SIGNS {
        all.extend(SIGNS.map(|second| format!("{first}{second}")));
    }
    all.extend(long());
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|text| seen.insert(text.clone()));
    all
}

/// As long as both ways take it: a quote becomes four bytes in a shell's line, a control character six in JSON.
fn long() -> Vec<String> {
    vec![
        "x".repeat(120_000),
        "'".repeat(30_000),
        "\u{1}".repeat(40_000),
        "$(:)".repeat(30_000),
        "-".repeat(4_096),
        "\\\n".repeat(20_000),
        "é".repeat(60_000),
    ]
}

/// Bytes that are no text, and some that are two texts at once.
pub(crate) fn bytes() -> Vec<Vec<u8>> {
    vec![
        (0..=255).collect(),
        b"\xff\xfe\xfd".to_vec(),
        b"a\0b\0".to_vec(),
        b"\xc3\x28\xa0\xa1\xf0\x28\x8c\xbc".to_vec(),
        b"\xed\xa0\x80\xc0\xaf".to_vec(),
        Vec::new(),
    ]
}
