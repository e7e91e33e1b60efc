"""The first article of the Universal Declaration of Human Rights (in part), in the public domain."""

import unicodedata

import pytest

from speech_mtl.data.doubtful import damaged_letters, mixed_scripts
from speech_mtl.data.rules import Choices
from speech_mtl.data.text import normalize, refusal

ARTICLE = {
    "af": "Alle menslike wesens word vry, met gelyke waardigheid en regte, gebore.",
    "be": "Усе людзі нараджаюцца свабоднымі і роўнымі ў сваёй годнасці і правах.",
    "bg": "Всички хора се раждат свободни и равни по достойнство и права.",
    "ca": "Tots els éssers humans neixen lliures i iguals en dignitat i en drets.",
    "cs": "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv.",
    "da": "Alle mennesker er født frie og lige i værdighed og rettigheder.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
    "el": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    "en": "All human beings are born free and equal in dignity and rights.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos.",
    "eu": "Gizon-emakume guztiak aske jaiotzen dira, duintasun eta eskubide berberak dituztela.",
    "fi": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
    "hu": "Minden emberi lény szabadon születik és egyenlő méltósága és joga van.",
    "id": "Semua orang dilahirkan merdeka dan mempunyai martabat dan hak-hak yang sama.",
    "it": "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti.",
    "ja": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "lt": "Visi žmonės gimsta laisvi ir lygūs savo orumu ir teisėmis.",
    "nl": "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw.",
    "pt": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos.",
    "ro": "Toate ființele umane se nasc libere și egale în demnitate și în drepturi.",
    "ru": "Все люди рождаются свободными и равными в своём достоинстве и правах.",
    "sr": "Сва људска бића рађају се слободна и једнака у достојанству и правима.",
    "sv": "Alla människor är födda fria och lika i värde och rättigheter.",
    "sw": "Watu wote wamezaliwa huru, hadhi na haki zao ni sawa.",
    "tr": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar.",
    "uk": "Всі люди народжуються вільними і рівними у своїй гідності та правах.",
    "vi": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền.",
    "zh-CN": "人人生而自由，在尊严和权利上一律平等。",
}


@pytest.mark.parametrize("language", ARTICLE)
def test_letters_are_all_that_is_left(language):
    text, choices = ARTICLE[language], Choices("spell", "refuse")
    words = "".join(c if unicodedata.category(c)[0] in "LM" else " " for c in text.lower()).split()
    assert normalize(text, language, choices) == ("" if language in ("ja", "zh-CN") else " ").join(words)
    assert refusal(text, language, choices) is None
    assert not mixed_scripts(text, language)
    assert not damaged_letters(text)
