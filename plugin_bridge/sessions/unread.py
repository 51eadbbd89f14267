"""Projects that no reader knows: how they are called, how their DAW exports tracks, how what can be read."""

from __future__ import annotations

AAF = "File > Export > AAF"

UNREAD = (
    ("ACID project", (".acd", ".acd-zip"), "File > Render As, each track to its own file", ""),
    (
        "Audacity 2 project",
        (".aup",),
        "File > Export > Export Multiple, by tracks",
        "saving it in Audacity 3 (.aup3)",
    ),
    ("Audition session", (".sesx",), "Multitrack > Export > selected tracks as separate files", ""),
    (
        "Bitwig project",
        (".bwproject",),
        "File > Export Audio, all tracks",
        "File > Export Project (.dawproject)",
    ),
    (
        "Cakewalk or SONAR project",
        (".cwp", ".cwb", ".cwx"),
        "File > Export > Audio, Tracks through the entire mix",
        "",
    ),
    (
        "Cubase or Nuendo project",
        (".cpr", ".npr"),
        "File > Export > Audio Mixdown, multiple channels",
        "File > Export > DAWproject, or AAF in Nuendo",
    ),
    ("DaVinci Resolve project", (".drp", ".drt"), "Deliver, individual audio tracks", "File > Export > AAF"),
    ("Digital Performer project", (".dpdoc",), "File > Bounce to Disk, each track to its own file", AAF),
    ("Final Cut project", (".fcpbundle", ".fcpxml", ".fcpxmld"), "File > Share, roles as separate files", ""),
    ("FL Studio project", (".flp",), "File > Export > Wave file, with Split mixer tracks", ""),
    ("GarageBand project", (".band",), "Share > Export Song to Disk, once with each track solo", ""),
    ("Hydrogen song", (".h2song",), "Project > Export Song, to separate tracks", ""),
    ("LMMS project", (".mmp", ".mmpz"), "File > Export Tracks", ""),
    (
        "Logic Pro project",
        (".logicx", ".logic"),
        "File > Export > All Tracks as Audio Files",
        "File > Export > Project as AAF File",
    ),
    ("LUNA session", (".luna",), "File > Export > tracks as audio files", ""),
    ("Mixcraft project", (".mx9", ".mx10", ".mx11"), "Mix > Mix To, stems", ""),
    ("MPC project", (".xpj",), "Export > Audio Mixdown, explode tracks", ""),
    ("n-Track session", (".sng",), "File > Export each track", "File > Export > DAWproject"),
    ("OMF file", (".omf",), "import it into a DAW and export all tracks", "exporting an AAF instead"),
    ("Premiere project", (".prproj",), "File > Export > Media, each track solo", "File > Export > AAF"),
    (
        "Pro Tools session",
        (".ptx", ".ptf", ".pts"),
        "select all tracks, then Bounce in a track name's menu",
        "File > Export > Selected Tracks as New AAF/OMF",
    ),
    ("Qtractor session", (".qtr", ".qtz"), "Track > Export Tracks > Audio, each track solo", ""),
    ("Reason song", (".reason", ".rns"), "File > Bounce Mixer Channels", ""),
    ("Renoise song", (".xrns",), "File > Render Song To Disk, each track into a separate file", ""),
    ("Rosegarden composition", (".rg",), "render each track with its synthesiser", ""),
    (
        "Samplitude or Sequoia project",
        (".vip",),
        "File > Export, each track into its own file",
        "AAF in File > Export",
    ),
    ("Studio One song", (".song",), "Song > Export Stems", "File > Export > DAWproject"),
    ("VEGAS project", (".veg",), "Tools > Render tracks to new files", "File > Export > AAF"),
    ("Waveform project", (".tracktionedit",), "Export > Render, each track to its own file", ""),
    ("Zrythm project", (".zpj",), "File > Export As, stems", ""),
)
"""Project, suffixes (of folders, too), the menu item for its tracks, and that for a format that is read."""
