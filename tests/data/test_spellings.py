"""Words in two spellings: see `text.unified` for rules of a script, `rules.RULES` for those of a language."""

import unicodedata

import pytest

from speech_mtl.data.text import normalize

ALIKE = [
    # i and j with a second dot
    ("tr", "i̇stanbul", "istanbul"),
    ("en", "i̇stanbul", "istanbul"),
    ("tr", "ı̇zmir", "izmir"),
    ("lt", "i̇́", "í"),
    ("lt", "j̇ į̇", "j į"),
    # Thai and Lao: two signs e; am and tones in any order; a long vowel for a short one; marks that come twice
    ("th", "เเม่", "แม่"),
    ("th", "น้ํา นํ้า นำ้", "น้ำ น้ำ น้ำ"),
    ("th", "ท่ี จะ๊ มๅ ที่่", "ที่ จ๊ะ มา ที่"),
    ("th", "ฤๅษี", "ฤๅษี"),
    ("lo", "ເເມ່", "ແມ່"),
    ("lo", "ນໍ້າ ນ້ໍາ ນຳ້ ທ່ີ", "ນ້ຳ ນ້ຳ ນ້ຳ ທີ່"),
    # Khmer: vowels in parts, signs in any order
    ("km", "េី េា", "ើ ោ"),
    ("km", "ស្រ្តី ឡាតំាង", "ស្ត្រី ឡាតាំង"),
    ("km", "ស្ដី", "ស្តី"),  # da and ta look alike below a letter
    # Burmese: signs in any order, digits and letters of one look
    ("my", "ုိ ကံု ၀ါ ၄င်း ဥ် သြ", "ို ကုံ ဝါ ၎င်း ဉ် ဩ"),
    # Arabic letters from the keyboard of another language
    ("ckb", "كوردي", "کوردی"),
    ("ckb", "ئه\u200cوه هەموو گوناه", "ئەوە ھەموو گوناھ"),
    ("ku-Arab", "كوردي", "کوردی"),
    ("fa", "كتاب علي خانۀ ١٢", "کتاب علی خانه\u0654 ۱۲"),
    ("pes-AF", "كتاب", "کتاب"),
    ("az-Arab", "كي", "کی"),
    ("ur", "كيا هے رحمة", "کیا ہے رحمۃ"),
    ("pnb", "كيه", "کیہ"),
    ("ks", "كي", "کی"),
    ("sd", "سنڌی كتاب", "سنڌي ڪتاب"),
    ("ug", "کىتاب", "كىتاب"),
    ("ms-Arab", "كتاب ڬ", "کتاب ݢ"),
    ("ar", "کتاب کبیر علی", "كتاب كبير على"),
    ("ps", "كور", "کور"),
    # ZWNJ after a letter that is never joined, ZWJ, presentation forms, tatweel
    ("fa", "کار\u200cها ب\u200dا می\u200cشود", "کارها با می\u200cشود"),
    ("fa", "ﻛﺘـــﺎﺏ", "کتاب"),
    # Indic scripts
    ("hi", "दु:ख प्रात:काल", "दुःख प्रातःकाल"),
    ("hi", "समय: १२:३०", "समय १२ ३०"),
    ("bn", "দু:খ", "দুঃখ"),
    ("ml", "ദു:ഖം", "ദുഃഖം"),
    ("te", "దు:ఖం", "దుఃఖం"),
    ("kn", "ದು:ಖ", "ದುಃಖ"),
    ("hi", "क्\u200dया क्\u200cया", "क्या क्या"),
    ("hi", "कोर्इ अाप बाॅल", "कोई आप बॉल"),
    ("ne", "गर्\u200dयो", "गऱ्यो"),
    ("bn", "উত্\u200dসব অামি", "উৎসব আমি"),
    ("bn", "র\u200cয\u09cd র\u200c্যাব র\u200d্যাব র্যাব", "রয্ র\u200d্যাব র\u200d্যাব র্যাব"),
    ("ml", "അവന്\u200d സ്\u200cപെയിൻ െെ", "അവൻ സ്പെയിൻ ൈ"),
    ("ta", "ஸ்ரீ", "ஶ்ரீ"),
    ("si", "අා ශ්\u200dරී", "ආ ශ්\u200dරී"),
    ("hi", "\u0958\u095c", "क़ड़"),
    ("pa", "ਅਾ", "ਆ"),
    # Letters that other encodings or keyboards have in a letter's place
    ("ce", "1аьрбийн гIала", "ӏаьрбийн гӏала"),
    ("ce", "11 аьрбийн", "11 аьрбийн"),
    ("hu", "Õsz", "ősz"),
    ("vi", "Ðẹp", "đẹp"),
    ("az", "mǝn", "mən"),
    ("yi", "װאָס", "וואָס"),
    # Invisible letters
    ("ko", "한\u3164글\u1160\uffa0\u115f\ue000", "한글"),
    ("en", "a\ufe0f\u180b\u180e\U000e0041\ufdd0\U0010fffd\u2061b", "ab"),
    ("km", "ក\u17b4ខ\u17b5", "កខ"),
]


@pytest.mark.parametrize(("language", "text", "expected"), ALIKE)
def test_one_spelling(language, text, expected):
    expected = unicodedata.normalize("NFC", expected)
    assert normalize(text, language) == expected
    assert normalize(expected, language) == expected


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("ar", "علي على"),
        ("ps", "سړي سړی سړې"),
        ("ug", "ي ى"),
        ("ckb", "ە ھ"),
        ("lrc", "ه ە ھ"),
        ("sd", "ک ڪ"),
        ("ur", "ہ ھ ی ے"),
        ("hi", "की कि कई"),
        ("ml", "അന്ത അൻ"),
        ("bn", "র\u200d্য র্য"),
        ("th", "เม แม มา มะ"),
        ("fa", "می\u200cروم میروم"),
        ("is", "ð đ"),
        ("en", "i ı"),
    ],
)
def test_words_that_differ_stay_apart(language, words):
    words = words.split()
    assert len({normalize(word, language) for word in words}) == len(words)


@pytest.mark.parametrize(
    ("spelt", "letter"),
    [
        # Unicode's own names: a vowel letter, and the same with the length or the sign that its parts have
        ("DEVANAGARI LETTER A + DEVANAGARI VOWEL SIGN AA", "DEVANAGARI LETTER AA"),
        ("GUJARATI LETTER A + GUJARATI VOWEL SIGN AI", "GUJARATI LETTER AI"),
        ("GURMUKHI IRI + GURMUKHI VOWEL SIGN II", "GURMUKHI LETTER II"),
        ("GURMUKHI URA + GURMUKHI VOWEL SIGN UU", "GURMUKHI LETTER UU"),
        ("ORIYA LETTER A + ORIYA VOWEL SIGN AA", "ORIYA LETTER AA"),
        ("TELUGU VOWEL SIGN E + TELUGU LENGTH MARK", "TELUGU VOWEL SIGN EE"),
        ("KANNADA LETTER VOCALIC R + KANNADA VOWEL SIGN AA", "KANNADA LETTER VOCALIC RR"),
        ("MALAYALAM LETTER I + MALAYALAM AU LENGTH MARK", "MALAYALAM LETTER II"),
        ("SINHALA LETTER AYANNA + SINHALA VOWEL SIGN AELA-PILLA", "SINHALA LETTER AAYANNA"),
    ],
)
def test_vowels_in_parts(spelt, letter):
    text = "".join(unicodedata.lookup(name) for name in spelt.split(" + "))
    assert normalize(text, "mul") == unicodedata.lookup(letter)
