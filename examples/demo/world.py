"""The tables of the small world that the demo model knows."""

from __future__ import annotations

# name | colour | home | what it eats | how it moves | what it says ("-": nothing) | legs | size
ANIMALS = """
frog | green | in a pond | flies | jumps | ribbit | four | small
fox | red | in the forest | mice | runs | - | four | small
dog | brown | in a house | meat | runs | woof | four | -
cat | grey | in a house | fish | climbs | meow | four | small
cow | white | on a farm | grass | walks | moo | four | big
pig | pink | on a farm | apples | walks | oink | four | big
duck | yellow | on a lake | bread | swims | quack | two | small
sheep | white | on a hill | grass | walks | baa | four | -
horse | brown | on a farm | hay | runs | neigh | four | big
mouse | grey | in a hole | cheese | runs | squeak | four | tiny
lion | gold | in the grassland | meat | runs | roar | four | big
owl | brown | in a tree | mice | flies | hoot | two | -
bee | yellow | in a hive | honey | flies | buzz | six | tiny
snake | green | in the grass | eggs | slides | hiss | no | long
bear | brown | in a cave | berries | walks | growl | four | huge
wolf | grey | in the forest | meat | runs | howl | four | big
rabbit | white | in a burrow | carrots | jumps | - | four | small
elephant | grey | in the grassland | leaves | walks | toot | four | huge
monkey | brown | in the jungle | bananas | climbs | - | four | -
parrot | red | in the jungle | seeds | flies | squawk | two | -
crow | black | in a tree | corn | flies | caw | two | -
swan | white | on a lake | weeds | swims | - | two | big
whale | blue | in the sea | tiny fish | swims | - | no | huge
crab | red | on the beach | shells | walks | - | ten | small
penguin | black | on the ice | fish | swims | - | two | -
goat | white | on a mountain | leaves | climbs | maa | four | -
hen | brown | on a farm | corn | walks | cluck | two | small
squirrel | red | in a tree | nuts | climbs | - | four | small
hedgehog | brown | in the garden | worms | walks | - | four | small
spider | black | in a web | flies | climbs | - | eight | tiny
snail | brown | in a shell | leaves | slides | - | no | tiny
camel | yellow | in the desert | dry grass | walks | - | four | big
tiger | orange | in the jungle | meat | runs | grr | four | big
turtle | green | by the river | weeds | swims | - | four | slow
butterfly | purple | in the garden | nectar | flies | - | six | tiny
ant | black | in a nest | crumbs | walks | - | six | tiny
goldfish | orange | in a bowl | flakes | swims | - | no | small
donkey | grey | on a farm | hay | walks | hee-haw | four | -
seal | grey | on the rocks | fish | swims | - | no | big
bat | black | in a cave | moths | flies | - | two | small
"""

# name ("~" after it: takes no article) | colour | taste | where it grows or comes from
FOODS = """
apple | red | sweet | on a tree
banana | yellow | sweet | on a palm
lemon | yellow | sour | on a tree
carrot | orange | sweet | in the ground
tomato | red | fresh | on a vine
pea | green | sweet | in a pod
potato | brown | mild | in the ground
cherry | red | sweet | on a tree
plum | purple | sweet | on a tree
grape | purple | sweet | on a vine
onion | white | sharp | in the ground
pepper | green | hot | on a bush
strawberry | red | sweet | in the garden
blueberry | blue | sweet | on a bush
mushroom | brown | earthy | in the forest
pear | green | sweet | on a tree
olive | black | bitter | on a tree
pumpkin | orange | mild | in a field
nut | brown | rich | on a tree
lime | green | sour | on a tree
milk~ | white | mild | from a cow
honey~ | gold | sweet | from a bee
butter~ | yellow | rich | from milk
salt~ | white | salty | from the sea
chocolate~ | brown | sweet | from a bean
tea~ | brown | bitter | from a leaf
rice~ | white | mild | in a wet field
soup~ | orange | salty | from a pot
"""

# name | what it is for | what it is made of
THINGS = """
spoon | eating soup | metal
cup | drinking tea | clay
knife | cutting bread | metal
bed | sleeping | wood
chair | sitting | wood
table | eating together | wood
book | reading | paper
pen | writing | plastic
brush | painting | hair
lamp | making light | glass
key | opening doors | metal
coat | keeping warm | wool
hat | keeping off the sun | straw
umbrella | keeping dry | cloth
boat | crossing the water | wood
bike | riding fast | metal
ball | playing | rubber
drum | making music | wood
clock | telling the time | metal
broom | sweeping the floor | straw
bucket | carrying water | plastic
ladder | climbing up | wood
hammer | hitting nails | metal
needle | sewing clothes | metal
soap | washing hands | oil
pillow | resting your head | feathers
window | looking outside | glass
kite | flying in the wind | paper
rope | tying things | string
basket | carrying fruit | straw
candle | making light | wax
sock | warming your feet | wool
bell | calling people | metal
map | finding the way | paper
oven | baking bread | stone
tent | sleeping outside | cloth
"""

# who | what they do | the same after "to" | where they work
JOBS = """
baker | bakes bread | bake bread | in a bakery
farmer | grows food | grow food | on a farm
teacher | teaches children | teach children | in a school
doctor | helps sick people | help sick people | in a hospital
sailor | sails a ship | sail a ship | on the sea
cook | makes soup | make soup | in a kitchen
gardener | plants flowers | plant flowers | in a garden
painter | paints pictures | paint pictures | in a studio
singer | sings songs | sing songs | on a stage
driver | drives a bus | drive a bus | on the road
pilot | flies a plane | fly a plane | in the sky
fisher | catches fish | catch fish | on a boat
builder | builds houses | build houses | in the town
tailor | sews clothes | sew clothes | in a shop
shepherd | looks after sheep | look after sheep | on a hill
librarian | lends books | lend books | in a library
vet | helps sick animals | help sick animals | in a clinic
writer | writes stories | write stories | at a desk
miner | digs for coal | dig for coal | under the ground
clown | makes people laugh | make people laugh | in a circus
dancer | dances on a stage | dance on a stage | in a theatre
postman | brings letters | bring letters | in the street
"""

OPPOSITES = """
big small | hot cold | day night | fast slow | happy sad | wet dry | old new | up down | left right | open closed
hard soft | long short | full empty | light dark | early late | loud quiet | clean dirty | rich poor | near far
high low | thick thin | strong weak | sweet sour | young old | good bad | first last | heavy light | black white
"""

# the place, with its preposition | what one can do there | what one can see there
PLACES = """
at the beach | swim | the sea
in the forest | walk | tall trees
in the park | play | green grass
on the farm | feed the animals | cows
at the market | buy fruit | many people
at the lake | row a boat | ducks
in the garden | pick flowers | roses
on the mountain | climb | snow
in the library | read | many books
in the kitchen | cook | pots
at the station | catch a train | trains
at the harbour | watch the ships | ships
in the school | learn | children
in the town | go shopping | shops
by the river | catch fish | a bridge
at the zoo | look at animals | elephants
"""

# when | what one wears | what one can do
WEATHER = """
it rains | a coat | jump in puddles
it snows | warm boots | build a snowman
it is sunny | a hat | go to the beach
it is windy | a scarf | fly a kite
it is cold | thick gloves | drink hot tea
it is hot | a thin shirt | eat ice cream
it is foggy | a bright jacket | stay at home
it is dark | soft pyjamas | look at the stars
"""

# what | how to ask for it | when
SEASONS = """
the leaves fall | When do the leaves fall? | in autumn
the snow falls | When does the snow fall? | in winter
the flowers open | When do the flowers open? | in spring
the sun is hot | When is the sun hot? | in summer
the birds build nests | When do the birds build nests? | in spring
the bears sleep | When do the bears sleep? | in winter
the corn is cut | When is the corn cut? | in autumn
the children swim | When do the children swim? | in summer
the stars shine | When do the stars shine? | at night
the sun comes up | When does the sun come up? | in the morning
the moon shines | When does the moon shine? | at night
the lambs are born | When are the lambs born? | in spring
"""

BODY = "see eyes | hear ears | smell nose | taste tongue | walk feet | clap hands | think head | bite teeth | kick legs"
YOUNG = """
dog puppy | cat kitten | cow calf | sheep lamb | horse foal | hen chick | duck duckling | pig piglet | bear cub
goat kid | frog tadpole | swan cygnet
"""
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def rows(table: str) -> list[list[str]]:
    """Split a table of lines and bars into its cells."""
    return [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]


def pairs(table: str) -> list[tuple[str, str]]:
    """Split a table of two-word cells."""
    return [(cell[0], cell[1]) for line in rows(table) for cell in (text.split() for text in line)]


def a(noun: str) -> str:
    """Put the indefinite article before a noun."""
    return ("an " if (noun[0] in "aeiou" and not noun.startswith("u")) or noun.startswith("um") else "a ") + noun


def upper(text: str) -> str:
    """Make the first letter a capital one."""
    return text[:1].upper() + text[1:]
